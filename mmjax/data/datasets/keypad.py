"""The tones of a telephone's keys."""

import numpy as np

# ITU-T Q.23: each key sounds a low tone by its row and a high tone by its column (Hz).
_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477)
_PLACES = {0: (3, 1)} | {digit: divmod(digit - 1, 3) for digit in range(1, 10)}
_RAMP = 0.004  # seconds in which a tone comes and goes, so that it does not click


def frequencies(digit: int) -> tuple[int, int]:
    """The low and the high tone of a digit's key, in Hz."""
    row, column = _PLACES[digit]
    return _ROWS[row], _COLUMNS[column]


def press(digit: int, rng: np.random.Generator, *, rate: int, seconds: float, snr: tuple[float, float]) -> np.ndarray:
    """A recording ``t`` of one key in white noise: onset, length (40-120 ms), phases and level at random.

    ``snr`` is the range of the tone's power over the noise's, in decibels. The loudest sample is below 1.
    """
    total = round(rate * seconds)
    length = int(rng.uniform(0.04, min(0.12, seconds)) * rate)
    onset = int(rng.integers(0, total - length + 1))
    time = np.arange(length) / rate
    tone = sum(np.sin(2 * np.pi * (f * time + rng.uniform())) for f in frequencies(digit))
    ramp = np.clip(np.minimum(time, time[::-1]) / _RAMP, 0, 1)
    noise = rng.standard_normal(total)
    # Two sines of amplitude 1 have the power 1, so the level is that of the noise times the ratio.
    noise[onset : onset + length] += tone * ramp * 10 ** (rng.uniform(*snr) / 20)
    level = rng.uniform(0.1, 0.9)
    return (noise / np.abs(noise).max() * level).astype(np.float32)
