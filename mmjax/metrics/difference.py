"""Is one run better than another? Both measured on the same resamples of the same rows."""

from typing import Any

import numpy as np

from mmjax.core.rows import Rows
from mmjax.metrics import bootstrap
from mmjax.metrics.bootstrap import Measured
from mmjax.metrics.rows import gather


def paired(
    metric: Any, first: Rows, second: Rows, *, resamples: int = 1000, seed: int = 0, **facts: Any
) -> dict[str, Any]:
    """``second - first`` of every figure, with a 95 % interval: ``{figure: {"value", "low", "high"}}``.

    Raises ValueError unless both are answers to the same rows. facts: what ``metric.measure`` wants besides.
    """
    first, second = gather([first]), gather([second])
    same = ("targets", "mask", "index")
    if not all(np.array_equal(getattr(first, name), getattr(second, name)) for name in same):
        raise ValueError("the two runs do not answer the same rows")
    one, other = metric.measure(first, **facts), metric.measure(second, **facts)

    def difference(weights: bootstrap.Weights) -> Measured:
        before, after = one(weights).figures, other(weights).figures
        return Measured({name: after[name] - before[name] for name in before if name != "majority"})

    figures = bootstrap.estimate(difference, rows=len(first.targets), resamples=resamples, seed=seed).figures
    return figures
