"""One example as people see, hear and read it, beside what the model made of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.train.page import plot
from mmjax.train.page.markup import Markup, tag
from mmjax.train.page.wording import ABSENT

_RATE = 16_000
_SMALL = 96  # pixels; a smaller picture is enlarged with its pixels left square
_CELLS = 40
_FRAMES = 4  # of a video


def example(case: Mapping[str, Any]) -> Markup:
    """A card. case: ``{"row", "target", "prediction", "probability", "loss", "signals"}``; any may be lacking.

    signals: by modality ``{"kind": "image" | "audio" | "video" | "text" | "sensor" | "table", "value", "rate"}``; a
    value of None is a missing modality, a table's value is a mapping or an array, rate is audio's (16 kHz unless
    given).
    """
    probability = case.get("probability")
    sure = f" ({100 * probability:.0f} %)" if probability is not None else ""
    verdict = tag(
        "p", "said ", tag("b", _said(case.get("prediction"))), sure, ", is ", tag("b", _said(case.get("target")))
    )
    loss = f"{case['evaluation']} · " if "evaluation" in case else ""
    loss += f"loss {case['loss']:.3g}" if case.get("loss") is not None else ""
    signals = [
        tag("div", tag("span", name, class_="chip"), _signal(signal), class_="signal")
        for name, signal in case.get("signals", {}).items()
    ]
    foot = tag("p", str(case.get("row", "")), tag("span", loss), class_="quiet foot")
    return tag("article", verdict, signals, foot, class_="card")


def _said(answer: Any) -> str:
    if isinstance(answer, list | tuple):
        return ", ".join(map(_said, answer)) or "nothing"
    return f"{answer:.4g}" if isinstance(answer, float) else str(answer)


def _signal(signal: Mapping[str, Any]) -> Markup:
    kind, value = signal["kind"], signal["value"]
    if value is None or (isinstance(value, np.ndarray) and value.size == 0):
        return tag("p", "missing", class_="quiet")
    if kind == "image":
        return _image(np.asarray(value))
    if kind == "video":
        frames = np.asarray(value)
        chosen = frames[np.unique(np.linspace(0, len(frames) - 1, _FRAMES).astype(int))]
        return tag("div", [_image(frame) for frame in chosen], class_="frames")
    if kind == "audio":
        return _audio(np.asarray(value, np.float64).reshape(-1), int(signal.get("rate") or _RATE))
    if kind == "sensor":
        return Markup(plot.sensor(np.nan_to_num(np.asarray(value, np.float64)).reshape(len(value), -1)))
    if kind in ("table", "prompt"):
        return _table(value)
    return tag("blockquote", str(value))


def _image(pixels: np.ndarray) -> Markup:
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    class_ = "pixels" if max(pixels.shape[:2]) <= _SMALL else None
    return tag("img", src=plot.image(pixels), class_=class_, alt=f"{pixels.shape[1]} x {pixels.shape[0]} pixels")


def _audio(samples: np.ndarray, rate: int) -> Markup:
    samples = np.nan_to_num(samples)
    seconds = len(samples) / rate
    cut = f", the first {plot.LONGEST} s of {seconds:.1f} s" if seconds > plot.LONGEST else f", {seconds:.1f} s"
    return tag(
        "div",
        Markup(plot.waveform(samples, rate=rate)),
        tag("img", src=plot.spectrogram(samples, rate=rate), class_="spectrogram", alt="spectrogram"),
        tag("audio", controls="", preload="none", src=plot.sound(samples, rate=rate)),
        tag("p", f"waveform and spectrogram, 0 to {rate / 2000:g} kHz{cut}", class_="quiet"),
    )


def _table(value: Any) -> Markup:
    if not isinstance(value, Mapping):
        value = {str(i): cell for i, cell in enumerate(np.asarray(value).reshape(-1).tolist())}
    rows = [
        tag("tr", tag("th", str(name), scope="row"), tag("td", ABSENT if cell is None else _said(cell)))
        for name, cell in list(value.items())[:_CELLS]
    ]
    return tag("table", tag("tbody", rows), class_="words")
