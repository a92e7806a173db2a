"""The fusions that a comparison can name, each built at the recipe's own size."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flax import linen

from mmjax import fusion, heads
from mmjax.core import UserError, plain
from mmjax.data.sources import nearest


@dataclass(frozen=True)
class Size:
    """What candidates take over from a recipe, so that they differ in nothing else.

    answer: dropout of what heads read.
    """

    classes: int
    width: int = 64
    depth: int = 1
    heads: int = 4
    mlp: float = 4.0
    dropout: float = 0.0
    answer: float = 0.0
    dtype: str = "float32"

    @classmethod
    def of(cls, model: Any, head: str) -> "Size":
        """The size of a model's fusion; what it does not say is that of the first part of an encoder that does.

        Experts say nothing of size: they are heads of single streams.
        """
        voting = isinstance(model.fusion, fusion.Experts)
        parts = [part for encoder in model.encoders.values() for part in _within(encoder)]
        parts = parts if voting else [model.fusion, *parts]
        found = {}
        for name in ("width", "heads", "mlp", "dropout", "dtype"):
            said = [getattr(part, name) for part in parts if hasattr(part, name)]
            said = [value for value in said if value or name == "dropout"]  # no width of its own, says a chain by 0
            found[name] = said[0] if said else getattr(cls, name)
        depth = max(1, getattr(model.fusion, "depth", 1))  # a candidate that has layers has one at least
        own = model.heads[head]
        answer = getattr(model.fusion if voting else own, "dropout", 0.0)
        return cls(classes=own.classes, depth=depth, answer=answer, **found)


def _within(part: linen.Module) -> Iterator[linen.Module]:
    """A part and those that it is made of, as a chain is."""
    yield part
    for name in plain.fields(part):
        inner = getattr(part, name)
        if isinstance(inner, linen.Module):
            yield from _within(inner)


@dataclass(frozen=True)
class Candidate:
    """A way of putting streams together: a fusion, and the head that answers from it (None: the recipe's own)."""

    fusion: Callable[[Size], linen.Module]
    head: Callable[[Size], linen.Module] | None = None


def _sized(kind: type, **fixed: Any) -> Callable[[Size], linen.Module]:
    return lambda size: kind(**plain.common(kind, size) | fixed)


def _voting(rule: str) -> Candidate:
    return Candidate(
        lambda size: fusion.Experts(classes=size.classes, dropout=size.answer, dtype=size.dtype),
        _sized(heads.Vote, rule=rule),
    )


FUSIONS: Mapping[str, Candidate] = {
    # One vector a modality, put together.
    "late": Candidate(_sized(fusion.Late, depth=0)),
    "late_mlp": Candidate(_sized(fusion.Late)),
    "sum": Candidate(_sized(fusion.Sum)),
    "attended": Candidate(_sized(fusion.Attended)),
    "gated": Candidate(_sized(fusion.Gated)),
    "mixture": Candidate(_sized(fusion.Mixture)),
    "tensor": Candidate(_sized(fusion.Tensor)),
    "low_rank": Candidate(_sized(fusion.LowRank)),
    "multiplicative": Candidate(_sized(fusion.Multiplicative)),
    "bilinear": Candidate(_sized(fusion.Bilinear)),
    "tucker": Candidate(_sized(fusion.Tucker)),
    # All tokens, which meet in layers.
    "aligned": Candidate(_sized(fusion.Aligned)),
    "joint": Candidate(_sized(fusion.Joint)),
    "bottleneck": Candidate(_sized(fusion.Bottleneck)),
    "central": Candidate(_sized(fusion.Central)),
    "cross": Candidate(_sized(fusion.Cross)),
    "coattention": Candidate(_sized(fusion.CoAttention)),
    "directional": Candidate(_sized(fusion.Directional)),
    "perceiver": Candidate(_sized(fusion.Perceiver)),
    "qformer": Candidate(_sized(fusion.QFormer)),
    "gated_cross": Candidate(_sized(fusion.GatedCross)),
    "film": Candidate(_sized(fusion.Film)),
    # One answer a modality, and a vote that is trained with them.
    "vote_mean": _voting("mean"),
    "vote_weights": _voting("weights"),
    "vote_product": _voting("product"),
    "vote_stacking": _voting("stacking"),
}


def named(names: Iterable[str]) -> tuple[str, ...]:
    """``names``, or all there are. Raises UserError for one that is not there."""
    names = tuple(dict.fromkeys(names)) or tuple(FUSIONS)
    for name in names:
        if name not in FUSIONS:
            raise UserError(f"fusions: there is no fusion {name!r}{nearest(name, FUSIONS)}")
    return names


def build(name: str, model: Any, head: str) -> Any:
    """The model with another fusion in its own one's place, at the same size, and a head that can read it."""
    candidate, size = FUSIONS[name], Size.of(model, head)
    own = model.heads[head]
    if candidate.head is not None:
        own = candidate.head(size)
    elif not isinstance(own, heads.Classify):  # one that reads what its own fusion alone gives
        own = heads.Classify(classes=size.classes, dropout=size.answer)
    return model.clone(fusion=candidate.fusion(size), heads={**model.heads, head: own})
