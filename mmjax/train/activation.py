"""Where what layers give lives: ordered rules on the paths of layers, put in place from outside of them.

No layer names an axis. What it gives is constrained where it is called, by rules that read its path, which is that
of its parameters; so a mesh is a matter of the experiment alone.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.core import LOSSES, Factored, UserError, masks
from mmjax.train import dense, fsdp, kernel, sharding
from mmjax.train.context import attend
from mmjax.train.sharding import AnyMesh, Mesh, Rule
from mmjax.train.shares import Shares
from mmjax.train.stage import piped

_ROWS = "+".join(sharding.ROWS)
_APART = "+".join(axis for axis in sharding.ROWS if axis != "expert")  # rows of all, for one expert
# Rows stay where the batch lay, so that with fsdp it is parameters that travel and not activations. The first rule
# wins that is found in a layer's path and has as many axes as the array. Tokens change places twice for their experts.
RULES: tuple[Rule, ...] = (
    (r"(^|/)(gathered|collected)$", (_ROWS, None, None, None)),
    (r"(^|/)(dispatched|returned)$", (_APART, "expert", None, None)),
    (r"(^|/)experts/(up|gate)$", (_APART, "expert", None, "tensor")),
    (r"(^|/)(query|key|value)$", (_ROWS, "context", "tensor", None)),
    (r"(^|/)(up|gate)$", (_ROWS, "context", "tensor")),
    (r"(^|/)(block_\d+[^/]*|blocks|trunk|fusion|embed|(encoders|bridges|fused)_[^/]+)$", (_ROWS, "context", None)),
    (r"(^|/)heads_[^/]+$", (_ROWS, None)),
)


class Placed:
    """A model whose activations live where the rules of a mesh say: ``init`` and ``apply`` are the model's own.

    placed: shapes and shardings of what the last pass put in place, by layer. left: what was meant to be split and is
    not, as it has fewer places than the axes have devices: these axes and how many places.
    """

    def __init__(self, model: linen.Module, mesh: AnyMesh, settings: Mesh):
        self.model, self._mesh, self._settings = model, mesh, settings
        self._rules = (*settings.activations, *RULES)
        self._exchange, self._kernel, self._pieces = settings.exchange, settings.attention, settings.pieces
        devices = mesh.devices.flat if isinstance(mesh, jax.sharding.Mesh) else ()
        self._one_processor = [device.platform for device in devices] == ["cpu"]
        kernel.check(settings.attention, mesh)
        self._own = [pattern for pattern, _ in settings.activations]
        self.placed: dict[str, list[tuple[tuple[int, ...], NamedSharding]]] = {}
        self.left: dict[str, set[tuple[str, int]]] = {}

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Variables as the model makes them."""
        return self.model.init(*args, **kwargs)

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """What the model gives, each layer's part of it in its place."""
        self.placed, self.left = {}, {}
        with linen.intercept_methods(self._after):
            out = self.model.apply(*args, **kwargs)
        for pattern in self._own:
            if not any(re.search(pattern, path) for path in self.placed):
                known = ", ".join(sorted(self.placed)[:8])
                raise UserError(f"mesh rule {pattern!r} matches no layer; there are {known}, ...")
        return out if self._mesh.size == 1 else jax.tree.map(self._shared, out, is_leaf=_factored)

    def _shared(self, part: Any) -> Any:
        # Whatever says words, a table or a kernel, is read as a head's kernel; one's own rules may be for another path.
        house = dataclasses.replace(self._settings, rules=())
        return part.replace(shares=Shares(self._mesh, house, "head/kernel")) if _factored(part) else part

    def _after(self, call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if context.method_name == "mixed" and self._apart(*args[:2]):
            args = (*args[:4], masks.dense(args[4]))
            return attend(*args, **kwargs, mesh=self._mesh, exchange=self._exchange)
        if context.method_name == "mixed" and self._kernel != "plain":
            mixed = kernel.attend(self._kernel, self._mesh, *args, **kwargs)
            if mixed is not None:
                return mixed
        if context.method_name == "layers" and self._in_stages(context.module):
            return self._piped(context.module, *args, **kwargs)
        if context.method_name != "__call__" or not context.module.path:
            return call(*args, **kwargs)
        path = "/".join(context.module.path)
        if isinstance(context.module, linen.Conv) and self._mesh.shape["context"] > 1:
            return self._whole(call(self._whole(args[0]), *args[1:], **kwargs))
        out = self._called(call, args, kwargs, context.module, path)
        return jax.tree.map(lambda leaf: self._constrained(path, leaf), out)

    def _called(self, call: Any, args: Any, kwargs: Any, module: linen.Module, path: str) -> Any:
        """What a layer gives, with the product that its devices do best."""
        if self._one_processor and dense.product(module) is not None:
            with dense.instead(module, dense.matrices):
                return call(*args, **kwargs)
        return fsdp.called(call, args, kwargs, module, Shares(self._mesh, self._settings, path))

    def _apart(self, query: Any, key: Any) -> bool:
        """Whether attention meets tokens of other devices; a few queries, as those that pool, come whole instead."""
        parts = self._mesh.shape["context"]
        return parts > 1 and min(query.shape[1], key.shape[1]) >= parts

    def _whole(self, array: Any) -> Any:
        """What goes into a convolution and comes out of it, rows of which are cut nowhere.

        Cut along its places, on a mesh with an axis that splits none of it, XLA adds up the gradient of its kernel once
        for each device of that axis.
        """
        spread = len(array) % sharding.rows(self._mesh) == 0
        place = NamedSharding(self._mesh, PartitionSpec(sharding.ROWS if spread else None))
        return jax.lax.with_sharding_constraint(array, place)

    def _in_stages(self, trunk: Any) -> bool:
        return self._mesh.shape["pipe"] > 1 and trunk.scan and not trunk.is_initializing()

    def _piped(self, trunk: Any, values: Any, *context: Any, train: bool) -> Any:
        key = trunk.make_rng("dropout") if trunk.has_rng("dropout") else None
        params, layer = trunk.variables["params"]["blocks"], trunk.layer(train=train)
        out, wish = piped(layer, params, values, context, mesh=self._mesh, pieces=self._pieces, key=key)
        trunk.sow(LOSSES, "layers", wish, reduce_fn=jnp.add, init_fn=lambda: jnp.zeros(()))
        return out

    def _constrained(self, path: str, array: Any) -> Any:
        shape = getattr(array, "shape", ())
        spec = next(self._matching(path, len(shape)), None)
        if spec is None:
            return array
        axes = []
        for size, word in zip(shape, spec, strict=True):
            over = sharding.axes_of(word, self._mesh, of=path)
            if size < sharding.size(over, self._mesh):
                self.left.setdefault(path, set()).add((str(word), size))
                over = ()
            axes.append(sharding.entry(over))
        place = NamedSharding(self._mesh, PartitionSpec(*axes))
        given = self.placed.setdefault(path, [])
        given += [(shape, place)] if (shape, place) not in given else []  # a scan traces its body twice
        return jax.lax.with_sharding_constraint(array, place) if self._mesh.size > 1 else array

    def _matching(self, path: str, axes: int) -> Iterator[tuple[str | None, ...]]:
        return (spec for pattern, spec in self._rules if len(spec) == axes and re.search(pattern, path))


def _factored(part: Any) -> bool:
    return isinstance(part, Factored)
