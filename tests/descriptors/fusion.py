"""Every fusion, over three streams of widths and lengths of their own."""

from descriptors.row import SMALL, WIDTH, Row, dense, tokens, trunk
from mmjax import fusion

STREAMS = {"sight": tokens(WIDTH, 5, 3, 0), "hearing": tokens(6, 3, 2, 2), "words": tokens(5, 4, 4, 0)}

FUSIONS = [
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
