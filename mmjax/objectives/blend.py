"""How much each loss is to count: what it gained, against what it overfitted."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.core import UserError


@dataclasses.dataclass(frozen=True)
class Progress:
    """A loss at two times, on the rows that were trained on and on others: ``(before, after)`` each."""

    train: tuple[float, float]
    val: tuple[float, float]


def blended(objectives: Mapping[str, Any], progress: Mapping[str, Progress]) -> dict[str, Any]:
    """The objectives with weights by gradient blending (Wang et al., 2020, https://arxiv.org/abs/1905.12681).

    A loss that fell by G on rows held out, while its gap between these and the training rows grew by O, counts G / O²;
    the weights add up to 1. So objectives that learn what generalises lead, those that only learn by heart follow.
    progress: of a run with every objective by itself, or of a first run with all.

    Raises UserError where an objective has no progress, and where none fell on rows held out.
    """
    ratios = {}
    for name in objectives:
        if name not in progress:
            raise UserError(f"progress of objective {name!r} is wanted; there is that of {', '.join(sorted(progress))}")
        (train, trained), (val, valued) = progress[name].train, progress[name].val
        gain, overfit = val - valued, (valued - trained) - (val - train)
        ratios[name] = max(gain, 0.0) / max(overfit**2, 1e-6)
    total = sum(ratios.values())
    if not total > 0:
        raise UserError("no loss fell on rows held out, so there is nothing to blend by; train longer, or on more rows")
    return {name: dataclasses.replace(o, weight=ratios[name] / total) for name, o in objectives.items()}
