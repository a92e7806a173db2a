"""Every fusion, over three streams of widths and lengths of their own."""

import itertools

from descriptors.row import SMALL, WIDTH, Row, block, dense, tokens, trunk
from mmjax import fusion

STREAMS = {"sight": tokens(WIDTH, 5, 3, 0), "hearing": tokens(6, 3, 2, 2), "words": tokens(5, 4, 4, 0)}
PROJECTED = dense(8, WIDTH) + dense(6, WIDTH) + dense(5, WIDTH)
NORM = 2 * WIDTH
CROSS = block() + NORM  # one norm more, that of what is looked at
PAIRS = list(itertools.combinations((8, 6, 5), 2))
ATTENTION = {"width": WIDTH, "heads": 2, "mlp": 2.0}


def mlp(d: int = WIDTH) -> int:
    return dense(d, 2 * d) + dense(2 * d, d)


def resampler(latents: int, depth: int = 1) -> int:
    return latents * WIDTH + depth * CROSS + NORM


WHOLE = [
    Row("late", fusion.Late(width=WIDTH), STREAMS, (8 + 6 + 5) * WIDTH, (1, 1, 1), packs=True),
    Row("late_spread", fusion.Late(width=WIDTH, spread=True), STREAMS, (8 + 6 + 5) * WIDTH, (1, 1, 1)),
    Row(
        "late_deep",
        fusion.Late(width=WIDTH, depth=1, mlp=2.0),
        STREAMS,
        (8 + 6 + 5) * WIDTH + 2 * WIDTH + dense(WIDTH, 2 * WIDTH) + dense(2 * WIDTH, WIDTH),
        (1, 1, 1),
        packs=True,
    ),
    Row(
        "joint",
        fusion.Joint(**SMALL),
        STREAMS,
        sum(dense(d, WIDTH) for d in (8, 6, 5)) + trunk(),
        (12, 9, 2),
        packs=True,
    ),
    Row(
        "bottleneck",
        fusion.Bottleneck(**SMALL, bottlenecks=2, start=1),
        STREAMS,
        sum(dense(d, WIDTH) + trunk() for d in (8, 6, 5)) + 2 * WIDTH + 2 * WIDTH,
        (12 + 2, 9 + 2, 2 + 2),
    ),
]

SEQUENCES = [
    Row("aligned", fusion.Aligned(**SMALL), STREAMS, PROJECTED + trunk(), (5, 4, 2)),
    Row("aligned_as_is", fusion.Aligned(**SMALL, stretch=False), STREAMS, PROJECTED + trunk(), (5, 4, 2)),
    Row("cross", fusion.Cross(**SMALL), STREAMS, PROJECTED + 3 * (2 * CROSS + NORM), (12, 9, 2), packs=True),
    Row(
        "cross_main",
        fusion.Cross(**ATTENTION, depth=1, main="sight"),
        STREAMS,
        PROJECTED + WIDTH + CROSS + NORM,
        (5 + 1, 3 + 1, 1),
    ),
    Row(
        "coattention",
        fusion.CoAttention(**SMALL),
        STREAMS,
        PROJECTED + 3 * (2 * (CROSS + block()) + NORM),
        (12, 9, 2),
        packs=True,
    ),
    Row(
        "directional",
        fusion.Directional(**ATTENTION, depth=1),
        STREAMS,
        PROJECTED + 6 * (CROSS + NORM + WIDTH * WIDTH) + 3 * trunk(depth=1),
        (12, 9, 2),
        packs=True,
    ),
    Row(
        "perceiver",
        fusion.Perceiver(**SMALL, latents=3),
        STREAMS,
        PROJECTED + resampler(3, depth=2),
        (3, 3, 3),
    ),
    Row(
        "qformer",
        fusion.QFormer(**SMALL, queries=3),
        STREAMS,
        # Self-attention and its norm are a block's without the MLP, which is the cross-attention block's.
        PROJECTED + 3 * WIDTH + 2 * (block() - NORM - mlp()) + CROSS + NORM + mlp() + NORM,
        (3, 3, 3),
    ),
    Row(
        "gated_cross",
        fusion.GatedCross(**ATTENTION, depth=1, latents=2),
        STREAMS,
        PROJECTED + 3 * (resampler(2) + CROSS + 2 + block() + NORM),
        (12, 9, 2),
    ),
    Row(
        "gated_cross_main",
        fusion.GatedCross(**ATTENTION, depth=1, latents=2, main="words"),
        STREAMS,
        PROJECTED + WIDTH + 2 * resampler(2) + CROSS + 2 + block() + NORM,
        (4 + 1, 4 + 1, 1),
    ),
    Row(
        "film",
        fusion.Film(width=WIDTH, depth=2, mlp=2.0),
        STREAMS,
        PROJECTED + 3 * (2 * (dense(WIDTH, 2 * WIDTH) + mlp()) + NORM),
        (12, 9, 2),
    ),
    Row(
        "film_main",
        fusion.Film(width=WIDTH, depth=1, mlp=2.0, main="sight"),
        STREAMS,
        PROJECTED + WIDTH + dense(WIDTH, 2 * WIDTH) + mlp() + NORM,
        (5 + 1, 3 + 1, 1),
    ),
]

POOLED = [
    Row(
        "central",
        fusion.Central(**SMALL),
        STREAMS,
        PROJECTED + 2 * 3 * block() + 3 * 3 + 2 + 2 * (NORM + mlp()),
        (1, 1, 1),
        packs=True,
    ),
    Row(
        "gated",
        fusion.Gated(width=WIDTH),
        STREAMS,
        PROJECTED + 3 * (8 + 6 + 5) * WIDTH + 3 * WIDTH,
        (1, 1, 1),
        packs=True,
    ),
    Row("sum", fusion.Sum(width=WIDTH), STREAMS, PROJECTED, (1, 1, 1), packs=True),
    Row(
        "attended",
        fusion.Attended(width=WIDTH),
        STREAMS,
        PROJECTED + dense(WIDTH, WIDTH) + WIDTH,
        (1, 1, 1),
        packs=True,
    ),
    Row(
        "mixture",
        fusion.Mixture(width=WIDTH, experts=2),
        STREAMS,
        2 * PROJECTED + 3 * (dense(WIDTH, 2 * WIDTH) + dense(WIDTH, 2)),
        (1, 1, 1),
        packs=True,
    ),
    Row("towers", fusion.Towers(width=WIDTH), STREAMS, (8 + 6 + 5) * WIDTH, (3, 3, 1)),
    Row(
        "towers_bare",
        fusion.Towers(width=WIDTH, bare=("sight",), bias=True),
        STREAMS,
        dense(6, WIDTH) + dense(5, WIDTH),
        (3, 3, 1),
    ),
    Row(
        "towers_deep",
        fusion.Towers(width=WIDTH, hidden=(4,), unit=False, pool={"sight": "first", "words": "last"}),
        STREAMS,
        dense(8, 4) + dense(6, 4) + dense(5, 4) + 3 * (2 * 4 + 4 * WIDTH),
        (3, 3, 1),
    ),
    Row(
        "experts", fusion.Experts(3), STREAMS, 2 * (8 + 6 + 5) + sum(dense(d, 3) for d in (8, 6, 5)), (3, 3, 1), width=3
    ),
]

PRODUCTS = [
    Row(
        "tensor",
        fusion.Tensor(width=WIDTH, size=3),
        STREAMS,
        sum(dense(d, 3) for d in (8, 6, 5)) + (3 + 1) ** 3 * WIDTH,
        (1, 1, 1),
        packs=True,
    ),
    Row(
        "multiplicative",
        fusion.Multiplicative(width=WIDTH),
        STREAMS,
        (1 + 8 + 6 + 5 + sum(a * b for a, b in PAIRS)) * WIDTH,
        (1, 1, 1),
        packs=True,
    ),
    Row(
        "low_rank",
        fusion.LowRank(width=WIDTH, rank=2),
        STREAMS,
        2 * PROJECTED + 2 + WIDTH,
        (1, 1, 1),
        packs=True,
    ),
    Row("bilinear", fusion.Bilinear(width=WIDTH, factors=2), STREAMS, 2 * PROJECTED, (1, 1, 1), packs=True),
    Row(
        "tucker",
        fusion.Tucker(width=WIDTH, size=4, rank=2),
        STREAMS,
        sum(dense(d, 4) for d in (8, 6, 5)) + 3 * dense(4, 2 * WIDTH),
        (1, 1, 1),
        packs=True,
    ),
]

FUSIONS = WHOLE + SEQUENCES + POOLED + PRODUCTS
