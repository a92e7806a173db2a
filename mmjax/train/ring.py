"""What each device of a mesh's context axis does for attention over all of them (see ``train.context``)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Array = Any
Local = Callable[[Array, Array, Array, Array | None, Array | None], Array]

_AXIS = "context"
_MASKED = -0.7 * float(jnp.finfo(jnp.float32).max)  # finite, as jax.nn has it: a row that sees nothing is no NaN


def swapped(lengths: tuple[int, int], *, causal: bool, reach: tuple[int, int] | None, sent: Any) -> Local:
    """Whole rows of some heads: tokens and heads change places, and back, in the type ``sent``."""

    def local(query: Array, key: Array, value: Array, bias: Array | None, allowed: Array | None) -> Array:
        padding = query.shape[1] * jax.lax.axis_size(_AXIS) - lengths[0]

        def exchanged(array: Array, *, split_axis: int, concat_axis: int) -> Array:
            there = jax.lax.all_to_all(array.astype(sent), _AXIS, split_axis, concat_axis, tiled=True)
            return there.astype(array.dtype)

        whole = [exchanged(x, split_axis=2, concat_axis=1) for x in (query, key, value)]
        whole = [x[:, :n] for x, n in zip(whole, (lengths[0], lengths[1], lengths[1]), strict=True)]
        mixed = jax.nn.dot_product_attention(*whole, bias, allowed, is_causal=causal, local_window_size=reach)  # pyright: ignore[reportCallIssue]
        mixed = jnp.pad(mixed, ((0, 0), (0, padding), (0, 0), (0, 0)))
        return exchanged(mixed, split_axis=1, concat_axis=2)

    return local


@dataclass(frozen=True)
class Ring:
    """A ring of ``parts`` devices around which keys and values go; ``length``: how many of the keys are no padding.

    A causal band needs no more turns than it reaches back. The backward pass goes round again with the gradients
    of keys and values, so that nothing but this device's own tokens is kept for it.
    """

    parts: int
    length: int
    causal: bool
    reach: tuple[int, int] | None

    def local(self) -> Local:
        """What each device computes."""
        function = jax.custom_vjp(lambda *given: self.forward(*given)[0])
        function.defvjp(self.forward, self.backward)
        return function

    def forward(self, query: Array, key: Array, value: Array, bias: Array | None, allowed: Array | None) -> Any:
        """Queries over all keys, and what the way back needs."""
        b, q, k, h = query.shape
        g, me, last = key.shape[2], jax.lax.axis_index(_AXIS), self._last(key.shape[1])

        def meet(sums: Any, key: Array, value: Array, turn: Any) -> Any:
            total, weight, top = sums
            scores = self._seen(query, key, bias, allowed, (me - turn) % self.parts)
            new = jnp.maximum(top, jnp.max(scores, axis=-1))
            shares, kept = jnp.exp(scores - new[..., None]), jnp.exp(top - new)
            here = _product("bgrqn,bngh->bgrqh", shares.astype(value.dtype), value)
            return total * kept[..., None] + here, weight * kept + jnp.sum(shares, axis=-1), new

        def turned(carry: Any, turn: Array) -> Any:
            sums, key, value = carry
            coming = _passed((key, value), self.parts)  # on its way while this device computes
            return (meet(sums, key, value, turn), *coming), None

        shape = (b, g, k // g, q)
        sums = jnp.zeros((*shape, h)), jnp.zeros(shape), jnp.full(shape, _MASKED)
        (sums, held, values), _ = jax.lax.scan(turned, (sums, key, value), jnp.arange(last))
        total, weight, top = meet(sums, held, values, last)
        out = _flat(total / weight[..., None]).astype(query.dtype)
        return out, (query, key, value, bias, allowed, out, weight, top)

    def backward(self, kept: Any, grad: Array) -> Any:
        """Gradients of all but ``allowed``."""
        query, key, value, bias, allowed, out, weight, top = kept
        b, q, k, h = query.shape
        n, g = key.shape[1:3]
        me, last = jax.lax.axis_index(_AXIS), self._last(n)
        asked, incoming = (x.reshape(b, q, g, k // g, h) for x in (query, grad))
        own = _product("bqkh,bqkh->bkq", grad, out).reshape(weight.shape)

        def meet(sums: Any, key: Array, value: Array, dkey: Array, dvalue: Array, turn: Any) -> Any:
            dquery, dbias = sums
            owner = (me - turn) % self.parts
            with jax.named_scope("rematted_computation"):  # jax's name for it, by which mmjax.flops leaves it out
                scores = self._seen(query, key, bias, allowed, owner)
            shares = jnp.exp(scores - top[..., None]) / weight[..., None]
            dscores = shares * (_product("bqgrh,bngh->bgrqn", incoming, value) - own[..., None])
            scaled = (dscores * h**-0.5).astype(query.dtype)
            if bias is not None:
                dbias = jax.lax.dynamic_update_slice_in_dim(dbias, _summed(dscores, bias), owner * n, 3)
            dvalue += _product("bgrqn,bqgrh->bngh", shares.astype(grad.dtype), incoming)
            dkey += _product("bgrqn,bqgrh->bngh", scaled, asked)
            return (dquery + _product("bgrqn,bngh->bgrqh", scaled, key), dbias), dkey, dvalue

        def turned(carry: Any, turn: Array) -> Any:
            sums, key, value, *grads = carry
            coming = _passed((key, value), self.parts)
            sums, *grads = meet(sums, key, value, *grads, turn)  # pyright: ignore[reportCallIssue]
            return (sums, *coming, *_passed(tuple(grads), self.parts)), None

        sums = (jnp.zeros((*weight.shape, h)), None if bias is None else jnp.zeros(bias.shape))
        grads = jnp.zeros(key.shape), jnp.zeros(key.shape)
        if last:
            # Own keys come last: sums that begin one device on are home again as soon as they are whole.
            carry = (sums, *_passed((key, value), self.parts), *grads)
            carry, _ = jax.lax.scan(turned, carry, jnp.arange(1, last))
            sums, *grads = meet(*carry, last)  # pyright: ignore[reportCallIssue]
            grads = _passed(tuple(grads), self.parts, steps=self.parts - last)  # while this device's own are met
        (dquery, dbias), dkey, dvalue = meet(sums, key, value, *grads, 0)  # pyright: ignore[reportCallIssue]
        dbias = None if bias is None else dbias.astype(bias.dtype)
        return _flat(dquery).astype(query.dtype), dkey.astype(key.dtype), dvalue.astype(value.dtype), dbias, None

    def _last(self, keys: int) -> int:
        """The last turn that shows anything."""
        if self.causal and self.reach is not None:
            return min(self.parts - 1, -(-self.reach[0] // keys))
        return self.parts - 1

    def _seen(self, query: Array, key: Array, bias: Array | None, allowed: Array | None, owner: Array) -> Array:
        """Scores (b g r q n) of own queries and the keys of ``owner``, in float32."""
        b, q, k, h = query.shape
        n, g = key.shape[1:3]
        scores = _product("bqgrh,bngh->bgrqn", query.reshape(b, q, g, k // g, h), key) * h**-0.5
        row = jax.lax.axis_index(_AXIS) * q + jnp.arange(q)[:, None]
        column = owner * n + jnp.arange(n)[None]
        if bias is not None:
            scores += _columns(bias, owner, n, g).astype(jnp.float32)
        visible = jnp.ones((q, n), bool) if allowed is None else _columns(allowed, owner, n, g)
        visible &= (column <= row) | (not self.causal)
        if self.reach is not None:
            visible &= (column >= row - self.reach[0]) & (column <= row + self.reach[1])
        return jnp.where(column < self.length, jnp.where(visible, scores, _MASKED), -jnp.inf)


_product = partial(jnp.einsum, preferred_element_type=jnp.float32)


def _passed(arrays: Any, parts: int, *, steps: int = 1) -> Any:
    """What the device so many steps before this one holds."""
    if steps % parts == 0:
        return arrays
    pairs = [(i, (i + steps) % parts) for i in range(parts)]
    return jax.tree.map(lambda x: jax.lax.ppermute(x, _AXIS, pairs), arrays)


def _columns(side: Array, owner: Array, n: int, g: int) -> Array:
    """The part of a bias or a mask (b k q N) for the keys of ``owner``, by groups of heads: b g r q n."""
    part = jax.lax.dynamic_slice_in_dim(side, owner * n, n, axis=3)
    return part[:, None] if part.shape[1] == 1 else part.reshape(part.shape[0], g, -1, *part.shape[2:])


def _summed(dscores: Array, bias: Array) -> Array:
    """Gradients b g r q n as the bias has its axes: b or 1, k or 1, q, n."""
    b, g, r, q, n = dscores.shape
    grads = dscores.reshape(b, g * r, q, n)
    gone = tuple(axis for axis in (0, 1) if bias.shape[axis] == 1 < grads.shape[axis])
    return jnp.sum(grads, axis=gone, keepdims=True)


def _flat(heads: Array) -> Array:
    """b g r q h to b q k h."""
    b, g, r, q, h = heads.shape
    return heads.transpose(0, 3, 1, 2, 4).reshape(b, q, g * r, h)
