"""Several views of each row, as rows of one batch: so all of the model is shared between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.core import Batch, Signal, UserError
from mmjax.views import augment


@dataclass(frozen=True)
class Several:
    """``count`` views of each row, one below the other: row i of view v is row ``v * b + i`` of ``count * b``.

    by: changes of a modality, by its name; those of ``views.augment``, in turn, drawn anew for each view and row. All
    else is repeated. ``objectives.Between`` compares the views of a row.
    """

    by: Mapping[str, Sequence[Any]]
    count: int = 2

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"views.Several: count={self.count} must be 1 or more")

    def __call__(self, batch: Batch, *, said: Any, key: jax.Array) -> Batch:
        whole = repeated(batch, self.count)
        return whole.replace(inputs=changed(whole.inputs, self.by, key=key))

    def only(self, names: Sequence[str]) -> "Several":
        """The same where there are no other modalities than these."""
        return replace(self, by={name: steps for name, steps in self.by.items() if name in names})


def repeated(tree: Any, count: int) -> Any:
    """All rows, ``count`` times one below the other."""
    return jax.tree.map(lambda leaf: jnp.concatenate([leaf] * count), tree)


def changed(inputs: Mapping[str, Signal], by: Mapping[str, Sequence[Any]], *, key: jax.Array) -> dict[str, Signal]:
    """Inputs, of which those named are changed. Raises UserError for a name that is not there, and for packed rows."""
    found = dict(inputs)
    for number, (name, steps) in enumerate(sorted(by.items())):
        found[name] = augment.apply(given(inputs, name), steps, key=jax.random.fold_in(key, number))
    return found


def given(inputs: Mapping[str, Signal], name: str) -> Signal:
    """The modality of this name. Raises UserError where there is none, and for packed rows."""
    if name not in inputs:
        raise UserError(f"views: there is no modality {name!r}; there are {', '.join(sorted(inputs))}")
    if inputs[name].segments is not None:
        raise UserError(f"views of {name!r} are of one example a row; these rows are packed")
    return inputs[name]
