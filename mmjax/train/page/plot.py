"""Pictures of curves and signals, as text that stands inside a page: SVG that takes the page's colours, PNG, WAV.

No name out of the data is ever drawn: names belong to the page, which escapes them and has the fonts for them.
"""

import base64
import io
import re
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

COLOURS = 8  # the page defines --c1 .. --c8
LONGEST = 30  # seconds of a recording that the page plays and shows
_LARGEST = 640  # pixels of a picture's longer side
_POINTS = 400  # across a drawing of a signal

# Matplotlib wants real colours; these stand for the page's own.
_INK, _LINE = "#010203", "#040506"
_SERIES = tuple(f"#0a0b{i:02x}" for i in range(1, COLOURS + 1))


def curves(series: Sequence[tuple[Sequence[float], Sequence[float]]], *, zero: bool = False) -> str:
    """(x, y) lines as SVG, the i-th in colour i. zero: y begins at 0.

    Falls of more than a hundredfold are drawn on a log scale.
    """
    figure, axes = _axes(4.6, 2.5)
    values = np.concatenate([np.asarray(y, float) for _, y in series])
    for i, (x, y) in enumerate(series):
        colour, few = _SERIES[i % COLOURS], len(x) < 12
        axes.plot(x, y, color=colour, linewidth=1.6, marker="o" if few else "", markersize=3.5, solid_capstyle="round")
    if values.min() > 0 and values.max() / values.min() > 100:
        axes.set_yscale("log")
        axes.minorticks_off()
    elif zero:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.grid(True, color=_LINE, linewidth=0.7)
    return _svg(figure)


def sensor(values: Float[np.ndarray, "t c"]) -> str:
    """Every channel of a sensor log over time, as SVG."""
    figure, axes = _axes(4.6, 1.7)
    step = max(1, len(values) // (2 * _POINTS))
    for i in range(values.shape[1]):
        axes.plot(np.arange(0, len(values), step), values[::step, i], color=_SERIES[i % COLOURS], linewidth=1)
    axes.grid(True, color=_LINE, linewidth=0.7)
    return _svg(figure)


def waveform(samples: Float[np.ndarray, " t"], *, rate: int) -> str:
    """How loud a recording is over its time in seconds, as SVG."""
    samples = samples[: LONGEST * rate]
    figure, axes = _axes(4.6, 1.1)
    edges = np.linspace(0, len(samples), min(_POINTS, len(samples)) + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
    axes.fill_between(edges / rate, low, high, color=_SERIES[0], linewidth=0.4)
    axes.set_xlim(0, len(samples) / rate)
    axes.yaxis.set_visible(False)
    return _svg(figure)


def spectrogram(samples: Float[np.ndarray, " t"], *, rate: int) -> str:
    """Power by time (across) and frequency up to half of ``rate`` (up), 60 dB deep, as the address of a PNG."""
    from matplotlib import colormaps

    samples = samples[: LONGEST * rate]
    size = min(512, len(samples), max(64, 2 ** (max(1, len(samples) // 8).bit_length() - 1)))
    starts = np.linspace(0, len(samples) - size, min(_POINTS, len(samples) - size + 1)).astype(int)
    frames = samples[starts[:, None] + np.arange(size)] * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))).T[::-1]
    decibel = 10 * np.log10(np.maximum(power / max(power.max(), 1e-20), 1e-6))
    return _png((255 * colormaps["magma"](1 + decibel / 60)[..., :3]).astype(np.uint8))


def image(values: Shaped[np.ndarray, "h w c"]) -> str:
    """A picture as the address of a PNG. Bytes and floats in 0 .. 1 are shown as they are, others stretched."""
    if values.dtype != np.uint8:
        values = np.nan_to_num(values.astype(np.float64))
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            values = (values - low) / max(high - low, 1e-12)
        values = np.round(255 * values).astype(np.uint8)
    return _png(values[..., :3] if values.shape[-1] >= 3 else values[..., 0])


def sound(samples: Float[np.ndarray, " t"], *, rate: int) -> str:
    """A recording as the address of a 16-bit WAV."""
    samples = np.nan_to_num(samples[: LONGEST * rate].astype(np.float64))
    loudest = max(1.0, float(np.abs(samples).max(initial=0)))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(32767 * samples / loudest).astype("<i2").tobytes())
    return _address("audio/wav", buffer.getvalue())


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.margins(x=0.01)
    axes.tick_params(colors=_INK, labelsize=8, length=0, pad=5)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_LINE)
    return figure, axes


def _svg(figure: Any) -> str:
    """The figure as an ``<svg>`` element that knows no addresses and wears the page's colours and letters."""
    import matplotlib

    buffer = io.StringIO()
    # A salt makes ids, and so the page, the same each time.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mmjax"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    box = re.search(r'viewBox="[^"]*"', text)
    text = f'<svg role="img" {box.group() if box else ""}>' + text[text.index(">", text.index("<svg")) + 1 :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(
        r' id="(?![pm][0-9a-f]{10}")[^"]*"|font-family: [^;"]*;? ?', "", text
    )  # other ids are not referred to
    text = re.sub(r"\s*\n\s*", " ", text).replace("xlink:href", "href")
    text = text.replace(_INK, "currentColor").replace(_LINE, "var(--line)")
    for i, colour in enumerate(_SERIES, start=1):
        text = text.replace(colour, f"var(--c{i})")
    return text


def _png(pixels: Shaped[np.ndarray, "..."]) -> str:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((_LARGEST, _LARGEST))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return _address("image/png", buffer.getvalue())


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
