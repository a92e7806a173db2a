"""One vector a modality, as ``fusion.Towers`` gives them: what objectives compare and metrics retrieve."""

from collections.abc import Sequence
from typing import Any

import flax.struct

from mmjax.core import masks
from mmjax.core.errors import UserError
from mmjax.core.types import Outputs


@flax.struct.dataclass
class Vectors:
    """values: ``b d``; mask: ``b``, whether the row has this modality."""

    values: Any
    mask: Any


def by_stream(outputs: Outputs, streams: Sequence[str] = ()) -> dict[str, Vectors]:
    """The vectors of these modalities (none named: of all), masked ones at 0.

    Raises UserError for a modality that is not there, and where fused tokens are not one a modality.
    """
    names, fused = sorted(outputs.streams), outputs.fused
    if fused.mask.shape[1] != len(names):
        raise UserError(
            f"one vector a modality is wanted, as fusion.Towers gives; there are {fused.mask.shape[1]} fused tokens of "
            f"{len(names)} modalities"
        )
    unknown = [name for name in streams if name not in names]
    if unknown:
        raise UserError(f"the model has no modality {unknown[0]!r}; it has {', '.join(names)}")
    values, mask = masks.zeroed(fused.values, fused.mask), fused.mask.astype(bool)
    return {name: Vectors(values[:, i], mask[:, i]) for i, name in enumerate(names) if name in streams or not streams}
