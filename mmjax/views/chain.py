"""One view after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from mmjax.core import Batch


@dataclass(frozen=True)
class Chain:
    """Each of ``views`` of what the one before it made, with a key of its own."""

    views: Sequence[Any]

    @property
    def crosses(self) -> bool:
        """Whether what a row becomes is of other rows, too."""
        return any(getattr(view, "crosses", False) for view in self.views)

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        for number, view in enumerate(self.views):
            batch = view(batch, said=said, key=jax.random.fold_in(key, number))
        return batch

    def only(self, names: Sequence[str]) -> "Chain":
        """The same where there are no other modalities than these."""
        return Chain(tuple(view.only(names) for view in self.views))
