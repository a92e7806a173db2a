"""Cross-entropy over a large vocabulary that never holds all its logits.

The rows are cut in pieces, and of each piece the logits are made, used and forgotten. A gradient is taken with the
piece, while its logits are there: so it costs the three matrix products of the dense formula and no recomputation,
and what is kept is as large as the factors themselves.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmjax.core import Factored

# Pieces with fewer rows, or fewer logits, than these save little memory, and products of few rows are slow.
_ROWS, _LOGITS = 256, 2**22


def pieces(rows: int, classes: int, most: int) -> int:
    """In how many pieces the logits of so many rows are cut, ``most`` of them at most."""
    return max(1, min(most, rows // _ROWS, rows * classes // _LOGITS))


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def total(
    features: Float[Array, "*b d"],
    kernel: Float[Array, "d k"],
    labels: Int[Array, "*b"],
    mask: Bool[Array, "*b"],
    weights: Float[Array, " k"],
    smoothing: float,
    most: int,
    shares: Any = None,
) -> Float[Array, ""]:
    """The sum of the cross-entropies of ``features @ kernel`` where ``mask``, with a weight for each class.

    NaN where a label is outside 0..k-1. The logits are in float32 or better. The rows are cut in ``most`` pieces at
    most, along their longest axis and by turns, so that each piece lies on as many devices as the rows do. With
    ``shares`` each device goes through its own: the kernel is gathered once for all pieces, and its gradient summed
    once.
    """
    laid = _laid(features, kernel.astype(features.dtype), labels, mask, most, shares)

    def step(kernel: Any, *piece: Any) -> Any:
        return jnp.sum(_losses(kernel, weights, smoothing, *piece)[0])

    return jnp.sum(jax.lax.map(lambda piece: laid.each(step)(laid.kernel, *piece), laid.pieces))


def _forward(
    features: Any, kernel: Any, labels: Any, mask: Any, weights: Any, smoothing: float, most: int, shares: Any
) -> Any:
    laid = _laid(features, kernel.astype(features.dtype), labels, mask, most, shares)
    exact = jnp.promote_types(kernel.dtype, jnp.float32)

    def step(kernel: Any, loss: Any, sums: Any, *piece: Any) -> tuple[Any, Any, Any]:
        more, gradient = _piece(kernel, weights, smoothing, *piece)
        gradient = gradient.astype(kernel.dtype)
        back = jnp.einsum("...k,dk->...d", gradient, kernel)
        toward = jnp.einsum("...d,...k->dk", piece[0], gradient, preferred_element_type=exact)
        return loss + more, sums + toward, back

    def turn(carry: Any, piece: Any) -> tuple[Any, Any]:
        loss, sums, back = laid.each(step)(laid.kernel, *carry, *piece)
        return (loss, sums), back

    start = jnp.zeros(laid.kernel.shape[:-2], exact), jnp.zeros(laid.kernel.shape, exact)
    (loss, toward), back = jax.lax.scan(turn, start, laid.pieces)
    toward = toward if laid.shares is None else laid.shares.summed(toward)
    return jnp.sum(loss), (laid.joined(back, features.shape), toward.astype(kernel.dtype), weights)


def _backward(smoothing: float, most: int, shares: Any, kept: Any, given: Any) -> Any:
    features, kernel, weights = kept
    scaled = (given.astype(features.dtype) * features, given.astype(kernel.dtype) * kernel)
    return *scaled, None, None, jnp.zeros_like(weights)


total.defvjp(_forward, _backward)


def losses(said: Factored, labels: Int[Array, "*b"], *, most: int) -> Float[Array, "*b"]:
    """Each row's own cross-entropy; its gradient makes the logits of each piece again."""
    mask, kernel = jnp.ones(labels.shape, bool), said.kernel.astype(said.features.dtype)
    ones = jnp.ones(kernel.shape[-1], jnp.float32)
    laid = _laid(said.features, kernel, labels, mask, most, said.shares)

    @jax.checkpoint
    def one(kernel: Any, *piece: Any) -> Any:
        return _losses(kernel, ones, 0.0, *piece)[0]

    found = jax.lax.map(lambda piece: laid.each(one)(laid.kernel, *piece), laid.pieces)
    return laid.joined(found, labels.shape)


class _Laid(NamedTuple):
    """Rows in pieces. With shares, the rows of each device stand under a first axis, its copy of the kernel, too."""

    kernel: Any
    pieces: tuple[Any, ...]
    rows: tuple[int, ...]
    shares: Any

    def each(self, step: Any) -> Any:
        """``step(kernel, ...)`` for every share."""
        return step if self.shares is None else jax.vmap(step)

    def joined(self, cut: Array, shape: tuple[int, ...]) -> Array:
        """What a scan gave of each piece, as the rows were: ``shape``."""
        whole = _joined(cut, (*self.rows, *cut.shape[1 + len(self.rows) :]))
        return whole if self.shares is None else self.shares.joined(whole, shape)


def _laid(features: Any, kernel: Any, labels: Any, mask: Any, most: int, shares: Any) -> _Laid:
    many = pieces(labels.size, kernel.shape[-1], most)
    shares = shares.of(labels.shape) if shares is not None and (many > 1 or shares.splits(kernel.shape)) else None
    if shares is None:
        return _Laid(kernel, _cut((features, labels, mask), many), labels.shape, None)
    rows = tuple(shares.cut(leaf) for leaf in (features, labels, mask))
    return _Laid(shares.copied(kernel), _cut(rows, many, first=1), rows[1].shape, shares)


def _piece(kernel: Any, weights: Any, smoothing: float, features: Any, labels: Any, mask: Any) -> tuple[Any, Any]:
    """The sum of a piece's losses, and its gradient by the logits."""
    found, logits, normal = _losses(kernel, weights, smoothing, features, labels, mask)
    k = kernel.shape[-1]
    hard = (1 - smoothing) * weights[jnp.where(mask, labels, 0)]
    heed = hard + smoothing / k * jnp.sum(weights)
    gradient = heed[..., None] * jnp.exp(logits - normal[..., None])
    gradient -= jnp.where(jnp.arange(k) == labels[..., None], hard[..., None], 0)
    if smoothing:
        gradient -= smoothing / k * weights
    return jnp.sum(found), jnp.where(mask[..., None], gradient, 0)


def _losses(kernel: Any, weights: Any, smoothing: float, features: Any, labels: Any, mask: Any) -> tuple[Any, Any, Any]:
    exact = jnp.promote_types(features.dtype, jnp.float32)
    logits = jnp.einsum("...d,dk->...k", features, kernel, preferred_element_type=exact)
    normal = jax.nn.logsumexp(logits, axis=-1)
    k = kernel.shape[-1]
    known = (labels >= 0) & (labels < k)
    at = jnp.where(known, labels, 0)
    found = weights[at] * (normal - jnp.take_along_axis(logits, at[..., None], axis=-1)[..., 0])
    if smoothing:
        evenly = jnp.sum(weights) * normal - jnp.sum(weights * logits, axis=-1)
        found = (1 - smoothing) * found + smoothing / k * evenly
    return jnp.where(mask, jnp.where(known, found, jnp.nan), 0), logits, normal


def _cut(rows: tuple[Any, ...], many: int, *, first: int = 0) -> tuple[Any, ...]:
    """Pieces along a first axis: each takes every n-th place of the longest axis, padded with what is masked.

    The ``first`` so many axes are not cut.
    """
    shape = rows[1].shape
    axis = max(range(first, len(shape)), key=lambda i: shape[i])
    many = min(many, shape[axis])

    def cut(leaf: Array) -> Array:
        widths = [(0, 0)] * leaf.ndim
        widths[axis] = (0, -leaf.shape[axis] % many)
        leaf = jnp.pad(leaf, widths)
        return jnp.moveaxis(leaf.reshape(*leaf.shape[:axis], -1, many, *leaf.shape[axis + 1 :]), axis + 1, 0)

    return tuple(cut(leaf) for leaf in rows)


def _joined(cut: Array, shape: tuple[int, ...]) -> Array:
    """What was cut, as it was: ``shape``."""
    axis = next((i for i, size in enumerate(shape) if cut.shape[1 + i] != size), 0)
    whole = jnp.moveaxis(cut, 0, axis + 1)
    whole = whole.reshape(*shape[:axis], -1, *shape[axis + 1 :])
    return jax.lax.slice_in_dim(whole, 0, shape[axis], axis=axis)
