"""From the answers of many batches to those of one evaluation, on the host."""

from collections.abc import Sequence

import numpy as np

from mmjax.core import UserError
from mmjax.core.rows import Rows


def gather(batches: Sequence[Rows]) -> Rows:
    """All rows with an answer, in order, as numpy. ``index`` numbers each by its place in the sequence.

    Padding rows take a number too, so pad only at the end, as a sweep does.
    """
    scores, targets, mask = (
        np.concatenate([np.asarray(getattr(batch, name)) for batch in batches])
        for name in ("scores", "targets", "mask")
    )
    if all(batch.index is not None for batch in batches):
        index = np.concatenate([np.asarray(batch.index) for batch in batches])
    else:
        index = np.arange(len(mask))
    kept = mask.astype(bool).any(axis=tuple(range(1, mask.ndim)))
    return Rows(scores[kept], targets[kept], mask.astype(bool)[kept], index[kept])


def finite(rows: Rows, head: str) -> Rows:
    """``rows`` gathered. Raises UserError when a head's answers are no numbers: they must never pass for figures."""
    rows = gather([rows])
    bad = ~np.isfinite(rows.scores).all(axis=tuple(range(1, rows.scores.ndim)))
    if bad.any():
        raise UserError(
            f"head {head!r} gives NaN or infinity in {bad.sum()} of {len(bad)} rows, "
            f"first in row {rows.index[bad][0]}; the run has diverged, train it with a lower learning rate"
        )
    return rows
