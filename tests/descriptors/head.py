"""Every head."""

import jax.numpy as jnp

from descriptors.row import WIDTH, Row, dense, lengths, tokens, trunk
from mmjax import heads
from mmjax.core import Kept

# The first row was read twice, the second once.
READ = tokens(WIDTH, 4, 2, 0).replace(segments=jnp.asarray([[1, 1, 2, 2], [1, 1, 0, 0], [0, 0, 0, 0]], jnp.int32))

# Of five tokens four are worked on, in the second row two.
SEEN = tokens(WIDTH, 4, 2, 0).replace(
    kept=Kept(jnp.asarray([[0, 1, 3, 4], [1, 2, -1, -1], [-1] * 4], jnp.int32), lengths(5, 3, 0))
)
DECODED = 5 * 8 + 8 + trunk(depth=1) + dense(8, 6)  # places, what stands for the hidden, a layer, what is said
SMALL = {"width": 8, "heads": 2, "mlp": 2.0}

HEADS = [
    Row("classify", heads.Classify(3), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 3), packs=True),
    Row("multilabel", heads.MultiLabel(2), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 2), packs=True),
    Row("regress", heads.Regress(), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 1), packs=True),
    Row("vote_mean", heads.Vote(3), tokens(3, 3, 2, 0), 0, drawn=False),
    Row("vote_weights", heads.Vote(3, rule="weights"), tokens(3, 3, 2, 0), 3, drawn=False),
    Row("vote_product", heads.Vote(3, rule="product"), tokens(3, 3, 2, 0), 3 + 3, drawn=False),
    Row("vote_stacking", heads.Vote(3, rule="stacking"), tokens(3, 3, 2, 0), 3 * 3 * 3 + 3, drawn=False),
    Row("transcribe", heads.Transcribe(5), tokens(WIDTH, 4, 2, 0), dense(WIDTH, 5)),
    Row("words", heads.Words(11), tokens(WIDTH, 4, 2, 0), WIDTH * 11, packs=True),
    Row(
        "words_bert",
        heads.Words(11, hidden=True, bias=True),
        tokens(WIDTH, 4, 2, 0),
        dense(WIDTH, WIDTH) + 2 * WIDTH + dense(WIDTH, 11),
        packs=True,
    ),
    Row("temperature", heads.Temperature(), tokens(WIDTH, 4, 2, 0), 1, apart=True, drawn=False),
    Row("temperature_added", heads.Temperature(10.0, 1e4, -10.0), tokens(WIDTH, 4, 2, 0), 2, apart=True, drawn=False),
    Row("project", heads.Project(5), tokens(WIDTH, 4, 2, 0), dense(WIDTH, 5), packs=True),
    Row("prototypes", heads.Prototypes(5, (6,), 3), tokens(WIDTH, 4, 2, 0), dense(WIDTH, 6) + dense(6, 3) + 3 * 5),
    Row("extract", heads.Extract(3), tokens(WIDTH, 4, 2, 0), dense(WIDTH, 3), apart=True),
    Row("extract_readings", heads.Extract(3, readings=2), READ, dense(WIDTH, 3), apart=True),
    Row("choose", heads.Choose(2), READ, WIDTH, apart=True),
    Row("reconstruct", heads.Reconstruct(6, **SMALL), SEEN, dense(WIDTH, 8) + DECODED),
    Row("regress_many", heads.Regress(2), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 2), packs=True),
]
