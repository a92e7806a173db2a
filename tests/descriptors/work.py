"""How many multiplications each row's forward pass takes, on paper, by the row's name: one example of the row's inputs.

Attention is counted whole, causal or not: half of a causal one's products are masked, which dense products do not
spare. Products alone count, as in ``mmjax.flops``.
"""

from descriptors.row import DEPTH, WIDTH

D = WIDTH


def among(n: int, d: int = D) -> int:
    """Self-attention of n tokens: four projections, scores and their use."""
    return 4 * n * d * d + 2 * n * n * d


def mlp(n: int, d: int = D) -> int:
    return 2 * n * d * 2 * d


def block(*counts: int) -> int:
    """A layer for each stream of so many tokens."""
    return sum(among(n) + mlp(n) for n in counts)


def trunk(n: int, depth: int = DEPTH) -> int:
    return depth * block(n)


def look(q: int, n: int) -> int:
    """q tokens look at n others."""
    return 2 * q * D * D + 2 * n * D * D + 2 * q * n * D


def cross(q: int, n: int) -> int:
    return look(q, n) + mlp(q)


def mel(frames: int) -> int:
    """Six bands of the 17 frequencies of a window of 32 samples."""
    return frames * 17 * 6


def basic(first: int, second: int, window: int) -> int:
    """Two residual blocks at ``first`` and ``second`` places: 4 to 4 channels, then 4 to 8 with a shortcut."""
    return first * 2 * window * 16 + second * (window * 32 + window * 64 + 32)


def factored(places: int, after: int, inputs: int, channels: int) -> int:
    """A convolution over space at so many places, then one over time."""
    middle = 27 * inputs * channels // (9 * inputs + 3 * channels)
    return places * 9 * inputs * middle + after * 3 * middle * channels


FILM = 2 * factored(45, 45, 4, 4) + factored(20, 12, 4, 8) + factored(12, 12, 8, 8) + 12 * 4 * 8
PATCHES, FOUR, FIVE = 6 * 18 * D + trunk(6), trunk(4), trunk(5)
WAVE = 9 * 4 * 4 + 4 * 3 * 4 * 6 + 4 * 6 * D  # two convolutions and a projection

ENCODERS = {
    "image": PATCHES,
    "image_patches": PATCHES,
    "image_stem": 16 * 9 * 4 + 4 * 16 * D + FOUR,
    "audio": mel(6) + 6 * 18 * D + 3 * 3 * D * D + trunk(3),
    "audio_stem": mel(8) + 12 * 9 * 8 + 4 * 9 * 64 + 2 * 16 * D + trunk(2),
    "text": FIVE,
    "sensor": 4 * 6 * D + FOUR,
    "sensor_stem": 5 * 9 * 4 + 3 * 8 * D + trunk(3),
    "table": FOUR,
    "lenet": 42 * 25 * 4 + 12 * 25 * 6 + 4 * 25 * 12 + 4 * 4 * 8,
    "lenet_spectrum": mel(6) + 36 * 25 * 2 + 9 * 25 * 6 + 4 * 25 * 12 + 4 * 4 * 8,
    # A stem, a bottleneck at 15 places and one that goes from 15 to 6, each with a shortcut.
    "resnet": 60 * 49 * 8 + 15 * (16 + 144 + 64 + 64) + 15 * 128 + 6 * (9 * 64 + 256 + 512),
    "resnet_group": 42 * 9 * 8 + basic(42, 12, 9),
    "resnet_spectrum": mel(6) + 36 * 9 * 4 + basic(36, 9, 9),
    "resnet_group_spectrum": mel(10) + 15 * 49 * 4 + basic(6, 2, 9),
    "convnext": 12 * 32 + 12 * (49 * 4 + 64) + 4 * 128 + 4 * (49 * 8 + 256),
    "convnext_spectrum": mel(6) + 9 * 16 + 9 * (49 * 4 + 64) + 4 * 128 + 4 * (49 * 8 + 256),
    "series": 7 * 5 * 12 + basic(7, 4, 3),
    "series_wave": 10 * 8 * 4 + basic(10, 4, 3),
    "series_spectrum": mel(6) + 6 * 3 * 24 + basic(6, 6, 3),
    "r2plus1d": 45 * (49 * 2 * 3 + 3 * 3 * 4) + FILM,
    "r2plus1d_places": 45 * (49 * 2 * 4 + 3 * 4 * 4) + FILM,
    "chain_lstm": 4 * 6 * D + 4 * 4 * (8 * 16 + 4 * 16),
    "chain_gru": 5 * 2 * D * 3 * D,
    "chain_rnn": 3 * 2 * (8 * 4 + 4 * 4),
    "chain_trunk": 7 * 7 * 12 + basic(7, 4, 3) + 4 * 8 * D + trunk(4, depth=1),
    "chain_probe": cross(1, 5),
    "chain_experts": among(5) + 5 * D * 2 + 2 * mlp(5),  # a router, and room for all tokens in both experts
    "image_class": 6 * 18 * D + trunk(7),
    "image_clip": 6 * 18 * D + trunk(7),
    "image_rotary": PATCHES,
    "image_relative": PATCHES,
    "text_sinusoidal": FIVE,
    "text_rotary": FIVE,
    "text_typed": FIVE,
    "text_relative": FIVE,
    "text_unplaced": FIVE,
    "text_norm_last": FIVE,
    "text_causal": FIVE,
    "text_banded": FIVE,
    "text_grouped": FIVE - DEPTH * 5 * D * D,  # keys and values of half as many heads
    "spectrogram": mel(6) + 4 * 16 * D + trunk(6),
    "waveform_group": WAVE + 4 * 3 * 4 * D + FOUR,
    "waveform_layer": WAVE + FOUR,
    "sensor_overlap": 4 * 9 * D + FOUR,
    "sensor_independent": 12 * 2 * D + 3 * FOUR,
    "table_class": trunk(3),
    "frames": 4 * (2 * 32 * 6 + 6 * D) + FOUR,
    "video": 4 * 18 * D + 2 * trunk(2) + trunk(2, depth=1),
    "tubes": 4 * 18 * D + 2 * trunk(2) + 2 * trunk(2, depth=1),
    "conformer": 4 * 6 * D + 2 * mlp(4) + among(4) + 4 * (D * 2 * D + 3 * D + D * D),
}

COUNTS = (5, 3, 4)
WIDTHS = (8, 6, 5)
OWN = sum(n * d * D for n, d in zip(COUNTS, WIDTHS, strict=True))  # every token projected
MEANS = sum(d * D for d in WIDTHS)  # every stream's mean projected
OTHERS = [(n, 12 - n) for n in COUNTS]
PAIRS = [(q, n) for q in COUNTS for n in COUNTS if n != q]

FUSIONS = {
    "late": MEANS,
    "late_spread": MEANS,
    "late_deep": MEANS + mlp(1),
    "joint": OWN + trunk(12),
    "bottleneck": OWN + block(*COUNTS) + block(*(n + 2 for n in COUNTS)),
    "aligned": OWN + FIVE,
    "aligned_as_is": OWN + FIVE,
    "cross": OWN + 2 * sum(cross(*pair) for pair in OTHERS),
    "cross_main": OWN + cross(6, 7),
    "coattention": OWN + 2 * (sum(cross(*pair) for pair in OTHERS) + block(*COUNTS)),
    "directional": OWN + sum(cross(q, n) + q * D * D for q, n in PAIRS) + block(*COUNTS),
    "perceiver": OWN + 2 * cross(3, 15),
    "qformer": OWN + 2 * (among(3) + mlp(3)) + look(3, 12),
    "gated_cross": OWN + sum(cross(2, n + 2) + cross(n, 4) for n in COUNTS) + block(*COUNTS),
    "gated_cross_main": OWN + cross(2, 7) + cross(2, 5) + cross(5, 4) + block(5),
    "film": OWN + 2 * (3 * D * 2 * D + mlp(12)),
    "film_main": OWN + D * 2 * D + mlp(6),
    "central": OWN + 2 * (block(*COUNTS) + mlp(1)),
    "gated": MEANS + 3 * MEANS,
    "sum": MEANS,
    "attended": MEANS + 3 * (D * D + D),
    "mixture": 2 * MEANS + 3 * (D * 2 * D + D * 2),
    "towers": MEANS,
    "towers_bare": (6 + 5) * D,
    "towers_deep": sum(WIDTHS) * 4 + 3 * 4 * D,
    "experts": sum(WIDTHS) * 3,
    "tensor": sum(WIDTHS) * 3 + (4**3 - 1) * D,
    "multiplicative": (8 + 6 + 5 + 8 * 6 + 8 * 5 + 6 * 5) * D,
    "low_rank": 2 * MEANS,
    "bilinear": 2 * MEANS,
    "tucker": sum(WIDTHS) * 4 + 3 * 4 * 2 * D,
}

MULTIPLICATIONS = ENCODERS | FUSIONS
EXAMPLES = 3  # in each row's inputs


def operations(name: str) -> int:
    """Multiplications and additions of a row's forward pass."""
    return 2 * EXAMPLES * MULTIPLICATIONS[name]
