"""Losses between modalities, between the views of one."""

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax

from mmjax.core import Batch, Mean, Outputs, UserError


@dataclass(frozen=True)
class Between:
    """``objective`` of the views of a modality (``views.Several``) in place of several modalities.

    So ``Between(SimCLR())`` is SimCLR as it was meant, of two views of each picture, and likewise ``VICReg``,
    ``BarlowTwins`` and ``Contrastive``. All views share one encoder and one tower of ``fusion.Towers``, as they are
    rows of one batch. streams: these modalities (none named: all), each compared with itself alone. Raises UserError
    where rows are not ``views`` times as many.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    objective: Any
    views: int = 2
    streams: Sequence[str] = ()
    weight: float = 1.0

    @property
    def whole(self) -> bool:
        """As the objective's."""
        return getattr(self.objective, "whole", False)

    @property
    def compares(self) -> bool:
        """As the objective's."""
        return getattr(self.objective, "compares", False)

    def __call__(self, outputs: Outputs, batch: Batch, **across: Any) -> Mean:
        names = sorted(outputs.streams)
        unknown = [name for name in self.streams if name not in names]
        if unknown:
            raise UserError(f"the model has no modality {unknown[0]!r}; it has {', '.join(names)}")
        if outputs.fused.mask.shape[1] != len(names):
            raise UserError(
                f"fusion.Towers is wanted: {outputs.fused.mask.shape[1]} fused tokens of {len(names)} streams"
            )
        if len(outputs.fused.mask) % self.views:
            raise UserError(f"{len(outputs.fused.mask)} rows are not {self.views} views of each; set views.Several")
        chosen = [(i, name) for i, name in enumerate(names) if name in self.streams or not self.streams]
        return functools.reduce(operator.add, (self._of(i, name, outputs, batch, **across) for i, name in chosen))

    def _of(self, number: int, name: str, outputs: Outputs, batch: Batch, **across: Any) -> Mean:
        """The loss of one modality, which is the fused token of this number."""
        fused: Any = outputs.fused
        values, mask = (x[:, number].reshape(self.views, -1, *x.shape[2:]) for x in (fused.values, fused.mask))
        tokens = fused.replace(values=values.swapaxes(0, 1), mask=mask.swapaxes(0, 1), segments=None, positions=None)
        views = Outputs(self._views(name, outputs.streams), tokens, outputs.heads)
        return self.objective(views, Batch(self._views(name, batch.inputs), {}), **across)

    def _views(self, name: str, given: Any) -> dict[str, Any]:
        """A modality's views by names that sort as they do."""
        if name not in given:
            return {}
        rows = len(given[name].mask) // self.views
        return {
            f"{name} {view:04}": jax.tree.map(lambda x, v=view: x[v * rows : (v + 1) * rows], given[name])
            for view in range(self.views)
        }
