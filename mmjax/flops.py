"""How much arithmetic a function does, counted from its jaxpr before anything runs.

Counted are the multiplications and additions of matrix products and convolutions, which are all
but a few percent of a network's work. A compiler's own cost analysis counts the body of a scan
once; here it counts as often as it runs.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import partial_eval

_AGAIN = "rematted_computation"  # jax's own name for what a checkpoint computes once more
_CAUSAL = re.compile(r"\bcausal\b")  # derivatives wrap names: transpose(jvp(causal))


def count(function: Callable[..., Any], *args: Any) -> int:
    """Floating-point operations of ``function(*args)``; the arguments may be ShapeDtypeStructs."""
    return sum(by_scope(function, *args).values())


def by_scope(function: Callable[..., Any], *args: Any) -> Counter[tuple[str, ...]]:
    """Operations of ``function(*args)`` by named scope, outermost name first (linen names a scope per module).

    A ``while`` loop, whose length no jaxpr knows, counts as one turn; a ``cond`` as its longest branch.
    """
    return _jaxpr(jax.make_jaxpr(function)(*args).jaxpr)


def useful(function: Callable[..., Any], *args: Any) -> int:
    """Operations that a training step cannot do without: what utilisation of the hardware (MFU) is measured by.

    What is computed a second time to save memory is not counted, a product in a scope named ``causal`` counts half,
    since half of its entries are masked, and what no output needs, as the gradients of frozen parts, is not counted.
    """
    return of_jaxpr(jax.make_jaxpr(function)(*args))


def of_jaxpr(closed: core.ClosedJaxpr, *, halved: bool = True) -> int:
    """``useful`` operations of what is traced already; not ``halved``, masked entries of causal products count, too."""
    needed, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return sum(
        operations // 2 if halved and any(_CAUSAL.search(part) for part in scope) else operations
        for scope, operations in _jaxpr(needed).items()
        if _AGAIN not in scope
    )


def _jaxpr(jaxpr: core.Jaxpr) -> Counter[tuple[str, ...]]:
    total: Counter[tuple[str, ...]] = Counter()
    for eqn in jaxpr.eqns:
        outer = _scope(eqn)
        for inner, operations in _equation(eqn).items():
            total[outer + inner] += operations
    return total


def _equation(eqn: core.JaxprEqn) -> Counter[tuple[str, ...]]:
    name = eqn.primitive.name
    if name == "dot_general":
        return Counter({(): _dot(eqn)})
    if name == "conv_general_dilated":
        return Counter({(): _convolution(eqn)})
    inner = [_jaxpr(jaxpr) for jaxpr in _inside(eqn)]
    if not inner:
        return Counter()
    if name == "cond":
        return max(inner, key=Counter.total)
    turns = eqn.params["length"] if name == "scan" else eqn.params["mesh"].size if name == "shard_map" else 1
    return Counter({scope: operations * turns for scope, operations in sum(inner, Counter()).items()})


def _inside(eqn: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    """Jaxprs that an equation runs. Derivative rules that stand beside them are functions, not jaxprs."""
    for value in eqn.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, core.Jaxpr):
                yield item


def _dot(eqn: core.JaxprEqn) -> int:
    (contracted, _), _ = eqn.params["dimension_numbers"]
    left = _shape(eqn.invars[0])
    return 2 * math.prod(_shape(eqn.outvars[0])) * math.prod(left[i] for i in contracted)


def _convolution(eqn: core.JaxprEqn) -> int:
    _, channels, *window = eqn.params["dimension_numbers"].rhs_spec
    kernel = _shape(eqn.invars[1])
    each = kernel[channels] * math.prod(kernel[i] for i in window)
    # A dilated input is mostly zeros, which a transposed convolution never multiplies.
    return 2 * math.prod(_shape(eqn.outvars[0])) * each // math.prod(eqn.params["lhs_dilation"])


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _scope(eqn: core.JaxprEqn) -> tuple[str, ...]:
    return tuple(part for part in str(eqn.source_info.name_stack).split("/") if part)
