"""Convolutional encoders, over pictures, spectra, series and videos."""

from descriptors.row import PICTURE_MASK, Row, audio, dense, lengths, noise
from mmjax import encoders
from mmjax.core import Signal

SPECTRUM = {"rate": 1_000, "mels": 6, "window": 0.032, "hop": 0.01}


def norm(*channels: int) -> int:
    """Scales and biases, and as many running means and variances."""
    return 2 * sum(channels)


def basic(inputs: int, channels: int, window: int) -> int:
    """Two convolutions with norms; a shortcut with a norm where channels change."""
    shortcut = inputs * channels + norm(channels) if inputs != channels else 0
    return window * (inputs + channels) * channels + norm(channels, channels) + shortcut


def bottleneck(inputs: int, channels: int) -> int:
    """Three convolutions and a shortcut to four times the channels, each with a norm."""
    out = 4 * channels
    kernels = inputs * channels + 9 * channels * channels + channels * out + inputs * out
    return kernels + norm(channels, channels, out, out)


def lenet(inputs: int, first: int, second: int, third: int, width: int) -> int:
    maps = sum(dense(25 * a, b) for a, b in ((inputs, first), (first, second), (second, third)))
    return maps + 2 * first + 2 * second + dense(third, width)


def convnext(inputs: int, first: int, second: int, patch: int) -> int:
    """One block in each of two stages, with an MLP twice as wide."""
    embeds = dense(patch**2 * inputs, first) + dense(4 * first, second) + 2 * norm(first)
    return embeds + sum(
        dense(49, c) + norm(c) + dense(c, 2 * c) + dense(2 * c, c) + c for c in (first, second)
    )  # norms here keep nothing, and each channel has a kernel of its own


def factored(inputs: int, channels: int) -> tuple[int, int]:
    """A convolution over space, a norm, a convolution over time: weights, and channels in between."""
    middle = 27 * inputs * channels // (9 * inputs + 3 * channels)
    return 9 * inputs * middle + norm(middle) + 3 * middle * channels, middle


def r2plus1d(inputs: int, middle: int, first: int, second: int) -> tuple[int, int]:
    """One block in each of two stages: parameters, and statistics."""
    pairs = [(first, first), (first, first), (first, second), (second, second)]
    weights, middles = zip(*(factored(*pair) for pair in pairs), strict=True)
    norms = norm(middle, first, *middles, first, first, second, second, second)
    kernels = 49 * inputs * middle + 3 * middle * first + sum(weights) - norm(*middles) + first * second
    return kernels + norms, norms


PICTURE = Signal(noise(3, 7, 6, 2), PICTURE_MASK)
SERIES = Signal(noise(3, 13, 3), lengths(13, 6, 0))
VIDEO = Signal(noise(3, 5, 6, 5, 2), lengths(5, 3, 0))
LENET = encoders.LeNet((2, 3, 4), width=8)
RESNET = encoders.ResNet(4, (1, 1), bottleneck=False, small=True)
CONVNEXT = encoders.ConvNeXt((4, 8), (1, 1), patch=2, mlp=2.0)

CONVOLUTIONS = [
    Row("lenet", LENET, PICTURE, lenet(2, 2, 3, 4, 8), (4, 4, 0)),
    Row(
        "lenet_spectrum",
        encoders.Spectrum(LENET, **SPECTRUM),
        audio(60, 31, 0),
        lenet(1, 2, 3, 4, 8),
        (4, 2, 0),
        exact=1,
    ),
    Row(
        "resnet",
        encoders.ResNet(4, (1, 1)),
        Signal(noise(3, 20, 12, 2), PICTURE_MASK),
        49 * 2 * 4 + norm(4) + bottleneck(4, 4) + bottleneck(16, 8),
        (6, 6, 0),
        width=32,
        statistics=norm(4, 4, 4, 16, 16, 8, 8, 32, 32),
    ),
    Row(
        "resnet_group",
        RESNET.clone(groups=2),
        PICTURE,
        9 * 2 * 4 + norm(4) + basic(4, 4, 9) + basic(4, 8, 9),
        (12, 12, 0),
    ),
    Row(
        "resnet_spectrum",
        encoders.Spectrum(RESNET, **SPECTRUM),
        audio(60, 31, 0),
        9 * 4 + norm(4) + basic(4, 4, 9) + basic(4, 8, 9),
        (9, 6, 0),
        statistics=norm(4, 4, 4, 8, 8, 8),
        exact=1,
    ),
    Row(
        "resnet_group_spectrum",
        encoders.Spectrum(RESNET.clone(groups=2, small=False), **SPECTRUM),
        audio(100, 51, 0),
        49 * 4 + norm(4) + basic(4, 4, 9) + basic(4, 8, 9),
        (2, 1, 0),
        exact=1,
    ),
    Row("convnext", CONVNEXT, PICTURE, convnext(2, 4, 8, 2), (4, 4, 0)),
    Row(
        "convnext_spectrum",
        encoders.Spectrum(CONVNEXT, **SPECTRUM),
        audio(60, 31, 0),
        convnext(1, 4, 8, 2),
        (4, 2, 0),
        exact=1,
    ),
    Row(
        "series",
        encoders.Series(4, (1, 1), stem=5),
        SERIES,
        5 * 3 * 4 + norm(4) + basic(4, 4, 3) + basic(4, 8, 3),
        (4, 2, 0),
        statistics=norm(4, 4, 4, 8, 8, 8),
    ),
    Row(
        "series_wave",
        encoders.Series(4, (1, 1), stem=8, stride=3, groups=2),
        audio(29, 10, 0),
        8 * 4 + norm(4) + basic(4, 4, 3) + basic(4, 8, 3),
        (4, 2, 0),
    ),
    Row(
        "series_spectrum",
        encoders.Spectrum(encoders.Series(4, (1, 1), stride=1, stem=3), **SPECTRUM),
        audio(60, 31, 0),
        3 * 6 * 4 + norm(4) + basic(4, 4, 3) + basic(4, 8, 3),
        (6, 4, 0),
        statistics=norm(4, 4, 4, 8, 8, 8),
        exact=1,
    ),
    Row(
        "r2plus1d",
        encoders.R2Plus1D(4, (1, 1), middle=3),
        VIDEO,
        r2plus1d(2, 3, 4, 8)[0],
        (3, 2, 0),
        statistics=r2plus1d(2, 3, 4, 8)[1],
    ),
    Row(
        "r2plus1d_places",
        encoders.R2Plus1D(4, (1, 1), middle=4, places=True, groups=1),
        VIDEO,
        r2plus1d(2, 4, 4, 8)[0],
        (12, 8, 0),
    ),
]
