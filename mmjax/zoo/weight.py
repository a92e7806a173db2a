"""Released weights to parameters of ours and back, with every tensor accounted for.

A file beside this one says of each of our paths which released tensors it is made of, an ``Origin``; all else follows.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from mmjax.core import Signal, UserError, trees


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a leaf comes from: the rows of ``names`` one after the other, of these part i of n along the last axis.

    rows: only those from the first of these numbers up to the second; None for all. transposed: outputs are the first
    axis there, and the last here. patch: a convolution over patches of so many pixels there, a product of them here.
    shape: what it has there where axes of 1 differ, one of its numbers perhaps -1.
    """

    names: tuple[str, ...]
    part: tuple[int, int] = (0, 1)
    transposed: bool = False
    rows: tuple[int, int] | None = None
    patch: int = 0
    shape: tuple[int, ...] = ()

    def size(self, shapes: Sequence[tuple[int, ...]]) -> int:
        """How many numbers a leaf has that comes from tensors of these shapes."""
        if self.rows is not None:
            shapes = [(min(self.rows[1], shapes[0][0]) - self.rows[0], *shapes[0][1:])]
        return sum(int(np.prod(shape)) for shape in shapes) // self.part[1]


Origins = Callable[[str], Origin | None]
Inputs = Mapping[str, Signal] | Signal | None  # as the model takes them


@dataclasses.dataclass(frozen=True)
class Account:
    """What became of every tensor. reshaped: lines such as ``h.0.attn.c_attn.weight (768, 2304) -> ... (768, 12, 64)``.

    missing: released tensors that our leaves need; unknown: our leaves without an origin; extra: released tensors that
    nothing needs; misfits: sizes that differ.
    """

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    extra: tuple[str, ...]
    misfits: tuple[str, ...]
    reshaped: tuple[str, ...]


def shapes(model: linen.Module, inputs: Inputs = None) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters by path; nothing is computed. inputs: an example of them; None: a GPT's."""
    if inputs is None:
        inputs = {getattr(model, "stream", "text"): Signal(jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool))}
    made = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs, train=False))["params"]
    return {path: leaf.shape for path, leaf in trees.flatten(made).items()}


def account(tensors: Mapping[str, Any], model: linen.Module, origins: Origins, inputs: Inputs = None) -> Account:
    """Every released tensor and every leaf of ``model``, and how they fit. inputs: as of ``shapes``."""
    wanted = {path: (origins(path), shape) for path, shape in shapes(model, inputs).items()}
    used = {name for origin, _ in wanted.values() if origin for name in origin.names}
    misfits, reshaped = [], []
    for path, (origin, shape) in wanted.items():
        if origin is None or not all(name in tensors for name in origin.names):
            continue
        theirs = [tuple(tensors[name].shape) for name in origin.names]
        line = (
            f"{' + '.join(f'{name} {old}' for name, old in zip(origin.names, theirs, strict=True))} -> {path} {shape}"
        )
        if origin.size(theirs) != int(np.prod(shape)):
            misfits.append(line)
        elif theirs != [shape]:
            reshaped.append(line)
    return Account(
        missing=tuple(sorted(used - set(tensors))),
        unknown=tuple(path for path, (origin, _) in wanted.items() if origin is None),
        extra=tuple(sorted(set(tensors) - used)),
        misfits=tuple(misfits),
        reshaped=tuple(reshaped),
    )


def adopt(
    tensors: Mapping[str, Any], model: linen.Module, origins: Origins, inputs: Inputs = None
) -> tuple[dict[str, Any], Account]:
    """Parameters for ``model.apply({"params": ...})`` in numpy, and what became of every tensor.

    inputs: as of ``shapes``. Raises UserError where one is missing or of another size.
    """
    told = account(tensors, model, origins, inputs)
    for what, names in (("lack", told.missing), ("have nothing for", told.unknown), ("do not fit:", told.misfits)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"the weights {what} {names[0]}{more}; is this the right size of the model?")  # pyright: ignore[reportGeneralTypeIssues]
    tree: dict[str, Any] = {}
    for path, shape in shapes(model, inputs).items():
        *parents, leaf = path.split("/")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = _taken(tensors, _known(origins, path)).reshape(shape)
    return tree, told


def release(params: Any, origins: Origins, rows: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
    """The released tensors of which ``adopt`` made ``params``, the same to the bit.

    rows: of the tensors that are one leaf together, how many each has.
    """
    pieces: dict[tuple[str, ...], dict[int, np.ndarray]] = {}
    rowwise = set()
    for path, leaf in trees.flatten(params).items():
        origin = _known(origins, path)
        at = origin.part[0] if origin.rows is None else origin.rows[0]
        pieces.setdefault(origin.names, {})[at] = _returned(path, np.asarray(leaf), origin)
        rowwise |= {origin.names} if origin.rows else set()
    found = {}
    for names, parts in pieces.items():
        axis = 0 if names in rowwise else -1
        whole = np.concatenate([parts[i] for i in sorted(parts)], axis=axis) if len(parts) > 1 else parts[0]
        bounds = np.cumsum([(rows or {})[name] for name in names[:-1]]) if len(names) > 1 else []
        for name, piece in zip(names, np.split(whole, bounds) if len(names) > 1 else [whole], strict=True):
            found[name] = np.ascontiguousarray(piece).reshape(piece.shape)  # which would give a number an axis
    return found


def named(
    released: Mapping[str, np.ndarray], like: Mapping[str, Any], *, prefix: str, tied: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Released tensors under the names of ``like``, the file's tensors as they were read.

    These may begin with a prefix. Those that no leaf is made of come back as they were; ``tied``: by name the tensor
    that it is once more.
    """
    found = {}
    for name, value in like.items():
        own = name.removeprefix(prefix)
        found[name] = released[tied.get(own, own)] if tied.get(own, own) in released else np.asarray(value)
    return found


def _taken(tensors: Mapping[str, Any], origin: Origin) -> np.ndarray:
    arrays = [np.asarray(tensors[name]) for name in origin.names]
    whole = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    whole = whole if origin.rows is None else whole[slice(*origin.rows)]
    i, count = origin.part
    whole = np.split(whole, count, axis=-1)[i] if count > 1 else whole
    whole = whole.transpose(2, 3, 1, 0) if origin.patch else whole  # rows, columns, channels, as we lay patches out
    return np.ascontiguousarray(whole.T if origin.transposed else whole)


def _returned(path: str, leaf: np.ndarray, origin: Origin) -> np.ndarray:
    if origin.patch:
        return leaf.reshape(origin.patch, origin.patch, -1, leaf.shape[-1]).transpose(3, 2, 0, 1)
    flat = leaf.reshape(origin.shape) if origin.shape else _matrix(path, leaf)
    return flat.T if origin.transposed else flat


def _matrix(path: str, leaf: np.ndarray) -> np.ndarray:
    """A leaf whose heads have an axis of their own, without it."""
    if path.endswith("out/kernel"):
        return leaf.reshape(-1, leaf.shape[-1])
    if path.endswith(("query/kernel", "key/kernel", "value/kernel")):
        return leaf.reshape(len(leaf), -1)
    return leaf.reshape(-1) if path.endswith("bias") else leaf


def _known(origins: Origins, path: str) -> Origin:
    origin = origins(path)
    if origin is None:
        raise UserError(f"there is no released tensor for {path}")
    return origin
