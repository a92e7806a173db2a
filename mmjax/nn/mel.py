"""Waveform to log-mel frames, as Whisper has them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import Signal, Tokens, UserError, masks

_FLOOR = 1e-10  # of the mel energies, before the logarithm
_CHUNK = 50  # frames transformed at a time on a CPU


def log_mel(
    waveform: Float[Array, "b t"],
    mask: Bool[Array, "b t"],
    *,
    segments: Int[Array, "b t"] | None = None,
    positions: Int[Array, "b t"] | None = None,
    rate: int = 16_000,
    mels: int = 80,
    window: float = 0.025,
    hop: float = 0.010,
) -> Tokens:
    """Frames ``b n mels`` of ``waveform``; frame i is centred on sample ``i * hop`` and real where that sample is.

    Hann window, power spectrum, Slaney mel bands from 0 to half the ``rate``, log10 with a floor 8 below the
    clip's greatest value, then (x + 4) / 4: the front end of Whisper (Radford et al., 2022,
    https://arxiv.org/abs/2212.04356), to which it is equal at the defaults for clips padded with silence.
    ``window`` and ``hop`` are in seconds. The start is reflected; after its last real sample a clip is silent,
    so padding never matters. Only real frames count for the greatest value, and masked frames come out as 0.
    Clips of a packed row, which begin on whole hops, come to what each would by itself.
    """
    size, step = round(window * rate), round(hop * rate)
    waveform = jnp.where(mask, waveform, 0).astype(jnp.float32)
    count = -(-waveform.shape[1] // step)
    if segments is None:
        power = _power(_blocks(waveform, size, step), size)[:, :count]
    else:
        positions = jnp.broadcast_to(jnp.arange(mask.shape[1]), mask.shape) if positions is None else positions
        power = _power(_apart(waveform, segments, positions, size, step), size)[:, :count]
    bands = filters(rate, size, mels)
    energy = jnp.matmul(power, bands, precision=jax.lax.Precision.HIGHEST)
    logs = jnp.log10(jnp.maximum(energy, _FLOOR))
    real = mask[:, ::step]
    top = jnp.max(jnp.where(real[..., None], logs, np.log10(_FLOOR)), axis=2)
    if segments is None:
        top = jnp.max(top, axis=1, keepdims=True)
    else:
        segments = segments[:, ::step]
        same = segments[:, :, None] == segments[:, None]
        top = jnp.max(jnp.where(same, top[:, None], np.log10(_FLOOR)), axis=2)
    logs = (jnp.maximum(logs, top[..., None] - 8) + 4) / 4
    positions = None if segments is None or positions is None else positions[:, ::step] // step
    return Tokens(jnp.where(real[..., None], logs, 0), real, segments, positions)


def frames(signal: Signal, *, rate: int, mels: int, window: float, hop: float) -> Tokens:
    """Log-mel frames of a waveform ``b t``; frames ``b n mels`` are passed on, masked ones as 0.

    Raises UserError for frames of another number of bands.
    """
    if signal.values.ndim == 2:
        beside = {"segments": signal.segments, "positions": signal.positions}
        return log_mel(signal.values, signal.mask, **beside, rate=rate, mels=mels, window=window, hop=hop)
    if signal.values.shape[2] != mels:
        raise UserError(f"the frames have {signal.values.shape[2]} bands, mels is {mels}; make them equal")
    return Tokens(masks.zeroed(signal.values, signal.mask), signal.mask, signal.segments, signal.positions)


def count(samples: int, *, rate: int, hop: float) -> int:
    """How many frames so many samples give."""
    return -(-samples // round(hop * rate))


def _blocks(waveform: Array, size: int, step: int) -> Array:
    """The wave cut into ``b n step``, of which those from number i on make up frame i; n is enough for whole chunks."""
    count = -(-waveform.shape[1] // step)
    left = size // 2
    start = jnp.pad(waveform, ((0, 0), (0, max(left + 1 - waveform.shape[1], 0))))[:, left:0:-1]
    length = (-(-count // _CHUNK) * _CHUNK + -(-size // step) - 1) * step
    padded = jnp.concatenate([start, waveform], axis=1)[:, :length]
    return jnp.pad(padded, ((0, 0), (0, length - padded.shape[1]))).reshape(len(waveform), -1, step)


def _apart(waveform: Array, segments: Array, positions: Array, size: int, step: int) -> Array:
    """Each frame as a block of ``size`` of its own, of its own clip alone; the start of each clip is reflected."""
    centres = np.arange(0, waveform.shape[1], step)
    at = jnp.abs(positions[:, centres, None] + np.arange(size) - size // 2)  # b n size, from the clip's start
    index = at + (centres - positions[:, centres])[..., None]
    inside = index < waveform.shape[1]
    index = jnp.where(inside, index, 0)
    flat = index.reshape(len(index), -1)
    own = jnp.take_along_axis(segments, flat, axis=1).reshape(index.shape) == segments[:, centres, None]
    frames = jnp.where(inside & own, jnp.take_along_axis(waveform, flat, axis=1).reshape(index.shape), 0)
    return jnp.pad(frames, ((0, 0), (0, -len(centres) % _CHUNK), (0, 0)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _power(blocks: Array, size: int) -> Array:
    """Power spectra of all frames, on a CPU to double precision.

    A single-precision transform rounds by about 1e-7 of a frame's loudest bin. In a bin 70 dB below it that alone
    moves a feature by 1e-4, by how much depends on the version of jax. Chunks that stay in the cache make up the time.
    """

    @jax.custom_batching.custom_vmap
    def doubled(blocks: Array) -> Array:
        return _doubled(blocks, size)

    @doubled.def_vmap
    def _(axis_size: int, batched: list[bool], blocks: Array) -> tuple[Array, bool]:
        # Left to itself, vmap would translate each operation anew where there is no double precision.
        power = doubled(blocks.reshape(-1, *blocks.shape[2:]))
        return power.reshape(axis_size, -1, *power.shape[1:]), True

    return jax.lax.platform_dependent(blocks, cpu=doubled, default=lambda blocks: _spectra(blocks, size))


@_power.defjvp
def _power_jvp(size: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Gradients are in single precision: outside of ``_power`` there is no double to hand on."""
    return _power(*primals, size), jax.jvp(lambda blocks: _spectra(blocks, size), primals, tangents)[1]


def _doubled(blocks: Array, size: int) -> Array:
    shifts = -(-size // blocks.shape[2])
    chunks = (blocks.shape[1] - shifts + 1) // _CHUNK

    def chunk(i: Array) -> Array:
        own = jax.lax.dynamic_slice_in_dim(blocks, i * _CHUNK, _CHUNK + shifts - 1, axis=1)
        with jax.enable_x64(True):
            return _spectra(own.astype(jnp.float64), size).astype(jnp.float32)

    power = jax.lax.map(chunk, jnp.arange(chunks))  # chunk b n f
    return jnp.moveaxis(power, 0, 1).reshape(len(blocks), chunks * _CHUNK, -1)


def _spectra(blocks: Array, size: int) -> Array:
    """The power of each windowed frame at each frequency: ``b n f``."""
    step = blocks.shape[2]
    shifts = -(-size // step)
    count = blocks.shape[1] - shifts + 1
    window = _hann(size).astype(blocks.dtype)
    parts = [blocks[:, i : i + count] for i in range(shifts)]  # shifted, which is quicker than a gather
    parts = [part[..., : size - i * step] * window[i * step : (i + 1) * step] for i, part in enumerate(parts)]
    # On a CPU 2 to 9 times quicker than a product with the DFT matrix.
    spectrum = jnp.fft.rfft(jnp.concatenate(parts, axis=-1))
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


@functools.lru_cache(maxsize=16)
def _hann(size: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


@functools.lru_cache(maxsize=16)
def filters(rate: int, size: int, mels: int) -> np.ndarray:
    """Triangular bands ``size // 2 + 1, mels`` on Slaney's mel scale, each of unit area (Auditory Toolbox, 1998)."""
    edges = _mel_to_hertz(np.linspace(0.0, _hertz_to_mel(rate / 2), mels + 2))
    bins = np.linspace(0.0, rate / 2, size // 2 + 1)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    return (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)


# Slaney's scale: 3 mels to every 200 Hz up to 1 kHz, then 27 mels to every factor of 6.4.
_KNEE, _LINEAR, _LOG = 1000.0, 200 / 3, np.log(6.4) / 27


def _hertz_to_mel(hertz: float) -> float:
    return hertz / _LINEAR if hertz < _KNEE else _KNEE / _LINEAR + np.log(hertz / _KNEE) / _LOG


def _mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    knee = _KNEE / _LINEAR
    return np.where(mel < knee, mel * _LINEAR, _KNEE * np.exp(_LOG * (np.maximum(mel, knee) - knee)))
