"""Every head."""

from descriptors.row import WIDTH, Row, dense, tokens
from mmjax import heads

HEADS = [
    Row("classify", heads.Classify(3), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 3), packs=True),
    Row("multilabel", heads.MultiLabel(2), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 2), packs=True),
    Row("regress", heads.Regress(), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 1), packs=True),
    Row("regress_many", heads.Regress(2), tokens(WIDTH, 4, 2, 0), 2 * WIDTH + dense(WIDTH, 2), packs=True),
]
