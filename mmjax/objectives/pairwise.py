"""All rows against all others, in pieces: the sums that contrastive losses are made of, and their gradients.

A device holds its own rows of both sides. Keys come by in pieces, from this device and then from the others around a
ring, and of each piece the products with all queries here are made, used and forgotten: nobody ever holds the products
of all with all, on the way back neither. With a piece travel the sums that belong to its keys. What a pair counts is a
matter of ``Rule``; a row never meets itself here, since its own pair is what is to be found.
"""

import functools
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Rule(Protocol):
    """What a pair of rows that do not belong together counts."""

    def start(self, rows: int, dtype: Any) -> Any:
        """The sums of rows that have met no other."""
        ...

    def met(self, sums: Any, logits: Array, valid: Array, axis: int) -> Any:
        """The sums after meeting these, along ``axis`` of the logits ``n c``."""
        ...

    def closed(self, sums: Any, own: Array, mask: Array, others: Array) -> tuple[Array, Array, Any]:
        """Each row's loss, its slope by the logit of its own pair, and what ``slopes`` wants to know of the row."""
        ...

    def slopes(self, logits: Array, valid: Array, rows: Any, columns: Any) -> Array:
        """The gradient of the sum of all losses by the logits ``n c``."""
        ...


@dataclass(frozen=True)
class Here:
    """Rows that all lie here. ``train.across`` has the like for rows on many devices."""

    axes: tuple[str, ...] = ()
    parts: int = 1

    def mapped(self, local: Any, given: tuple[bool, ...], out: tuple[bool, ...]) -> Any:
        """``local`` of arrays that lie on all devices (True: by rows)."""
        return local


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def total(
    queries: Float[Array, "b d"],
    keys: Float[Array, "b d"],
    mask: Bool[Array, " b"],
    scale: Float[Array, ""],
    added: Float[Array, ""],
    rule: Any,
    chunk: int,
    across: Any,
) -> Float[Array, ""]:
    """The sum of all rows' losses by ``rule``, where row i of both sides belongs together; masked rows play no part.

    Logits are ``scale * queries @ keys.T + added``, in float32 at least. chunk: so many keys at one time.
    """
    return _forward(queries, keys, mask, scale, added, rule, chunk, across)[0]


def _forward(
    queries: Any, keys: Any, mask: Any, scale: Any, added: Any, rule: Any, chunk: int, across: Any
) -> tuple[Any, Any]:
    local = functools.partial(_gather, rule, chunk, across)
    mapped = across.mapped(local, (True, True, True, False, False), (False, True, True, True))
    loss, *kept = mapped(queries, keys, mask, scale, added)
    return loss, (queries, keys, mask, scale, added, *kept)


def _backward(rule: Any, chunk: int, across: Any, kept: Any, given: Any) -> Any:
    local = functools.partial(_spread, rule, chunk, across)
    mapped = across.mapped(local, (True, True, True, False, False, True, True, True, False), (True, True, False, False))
    dqueries, dkeys, dscale, dadded = mapped(*kept, given)
    return dqueries, dkeys, None, dscale, dadded


total.defvjp(_forward, _backward)


def _gather(
    rule: Any, chunk: int, across: Any, queries: Any, keys: Any, mask: Any, scale: Any, added: Any
) -> tuple[Any, ...]:
    """The loss, and of the own rows: the slope of their pair, and what slopes want to know of queries and of keys."""
    exact, numbers = jnp.promote_types(queries.dtype, jnp.float32), _numbers(len(mask), across)
    n = len(mask)

    def turn(carry: Any, _: Any) -> tuple[Any, None]:
        sums, piece, theirs = carry
        coming = _passed(piece, across)
        logits, valid = _logits(queries, scale, added, exact, mask, numbers, piece)
        theirs = rule.met(theirs, logits, valid, 0)
        return (rule.met(sums, logits, valid, 1), coming, _passed(theirs, across)), None

    def one(sums: Any, piece: Any) -> tuple[Any, Any]:
        start = (sums, piece, rule.start(len(piece[1]), exact))
        (sums, _, theirs), _ = jax.lax.scan(turn, start, None, length=across.parts)
        return sums, theirs

    sums, theirs = jax.lax.scan(one, rule.start(n, exact), _cut((keys, mask, numbers), chunk))
    theirs = jax.tree.map(lambda x: x.reshape(-1)[:n], theirs)
    own = scale * jnp.sum(queries.astype(exact) * keys.astype(exact), axis=1) + added
    others = _summed(jnp.sum(mask, dtype=exact), across) - 1
    losses, slope, rows = rule.closed(sums, own, mask, others)
    more, steeper, columns = rule.closed(theirs, own, mask, others)
    halved = jnp.sum(jnp.where(mask, losses + more, 0)) / 2
    return _summed(halved, across), jnp.where(mask, slope + steeper, 0) / 2, rows, columns


def _spread(
    rule: Any, chunk: int, across: Any, queries: Any, keys: Any, mask: Any, scale: Any, added: Any,
    slope: Any, rows: Any, columns: Any, given: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """Gradients by the own rows of both sides, by the scale and by what is added."""
    exact, numbers = jnp.promote_types(queries.dtype, jnp.float32), _numbers(len(mask), across)
    product = functools.partial(jnp.einsum, preferred_element_type=exact)

    def turn(carry: Any, _: Any) -> tuple[Any, None]:
        (dqueries, dscale, dadded), piece, theirs, dkeys = carry
        coming = _passed((piece, theirs), across)
        logits, valid = _logits(queries, scale, added, exact, mask, numbers, piece)
        slopes = given * jnp.where(valid, rule.slopes(logits, valid, rows, theirs), 0) / 2
        dscale += jnp.sum(slopes * (logits - added)) / scale
        dadded += jnp.sum(slopes)
        slopes = (scale * slopes).astype(queries.dtype)
        dqueries += product("nc,cd->nd", slopes, piece[0])
        dkeys += product("nc,nd->cd", slopes, queries)
        return ((dqueries, dscale, dadded), *coming, _passed(dkeys, across)), None

    def one(sums: Any, given: Any) -> tuple[Any, Any]:
        piece, theirs, start = given[:3], given[3], given[4][:, None] * given[5].astype(exact)
        (sums, _, _, dkeys), _ = jax.lax.scan(turn, (sums, piece, theirs, start), None, length=across.parts)
        return sums, dkeys

    own = given * slope  # of a row's own pair: where the sums of its gradients begin
    likeness = jnp.sum(jnp.where(mask[:, None], queries.astype(exact) * keys.astype(exact), 0), axis=1)
    start = (scale * own)[:, None] * keys.astype(exact), jnp.sum(own * likeness), jnp.sum(own)
    cut = _cut((keys, mask, numbers, columns, scale * own, queries), chunk)
    (dqueries, dscale, dadded), dkeys = jax.lax.scan(one, start, cut)
    dkeys = dkeys.reshape(-1, keys.shape[1])[: len(mask)].astype(keys.dtype)
    scalars = (_summed(x, across).astype(scale.dtype) for x in (dscale, dadded))
    return dqueries.astype(queries.dtype), dkeys, *scalars


def _logits(
    queries: Any, scale: Any, added: Any, exact: Any, mask: Any, numbers: Any, piece: Any
) -> tuple[Array, Array]:
    keys, there, theirs = piece
    logits = scale * jnp.einsum("nd,cd->nc", queries, keys, preferred_element_type=exact) + added
    return logits, mask[:, None] & there[None] & (numbers[:, None] != theirs[None])


def _cut(arrays: Any, chunk: int) -> Any:
    """Rows in pieces of ``chunk`` along a first axis, the last one padded with 0."""
    rows = len(jax.tree.leaves(arrays)[0])
    many = -(-rows // min(chunk, rows))
    each = -(-rows // many)

    def cut(leaf: Array) -> Array:
        padded = jnp.pad(leaf, [(0, many * each - rows)] + [(0, 0)] * (leaf.ndim - 1))
        return padded.reshape(many, each, *leaf.shape[1:])

    return jax.tree.map(cut, arrays)


def _numbers(rows: int, across: Any) -> Array:
    first = jax.lax.axis_index(across.axes) * rows if across.parts > 1 else 0
    return first + jnp.arange(rows)


def _summed(value: Array, across: Any) -> Array:
    return jax.lax.psum(value, across.axes) if across.parts > 1 else value


def _passed(arrays: Any, across: Any) -> Any:
    """What the device before this one holds."""
    if across.parts == 1:
        return arrays
    pairs = [(i, (i + 1) % across.parts) for i in range(across.parts)]
    return jax.tree.map(lambda x: jax.lax.ppermute(x, across.axes, pairs), arrays)
