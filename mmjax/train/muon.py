"""Steps that turn every direction of a matrix by as much."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from mmjax.core import trees
from mmjax.train import matrix

# Jordan's coefficients: singular values from 0.001 up come out between 0.7 and 1.2 after five turns.
_COEFFICIENTS, _TURNS = (3.4445, -4.7750, 2.0315), 5
_MATRIX = re.compile(r"(^|/)block(s|_\w+)/.*kernel$")


class MuonState(NamedTuple):
    """A momentum for each parameter; a mean of squares (else one number, unread) for those that are no matrices."""

    count: Any
    mean: Any
    square: Any


def muon(momentum: float, b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Momentum made orthogonal (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon) for kernels in blocks.

    Each step is scaled to the size of Adam's (Liu et al., 2025, https://arxiv.org/abs/2502.16982), so that both have
    one rate and one decay. All other parameters, embeddings and heads among them, take Adam's step.
    """

    def init(params: Any) -> MuonState:
        means = jax.tree.map(lambda p: jnp.zeros_like(p, dtype=jnp.float32), params)
        squares = trees.map_paths(lambda path, p: jnp.zeros(_square(path, p.shape), jnp.float32), params)
        return MuonState(jnp.zeros((), jnp.int32), means, squares)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, MuonState]:
        count = state.count + 1

        def mean(path: str, grad: Array, old: Array) -> Array:
            return momentum * old + grad if is_matrix(path) else b1 * old + (1 - b1) * grad

        def square(path: str, grad: Array, old: Array) -> Array:
            return old if is_matrix(path) else b2 * old + (1 - b2) * jnp.square(grad)

        def step(path: str, grad: Array, mean: Array, square: Array) -> Array:
            if is_matrix(path):
                return _turned(path, grad + momentum * mean)
            return mean / (1 - b1**count) / (jnp.sqrt(square / (1 - b2**count)) + eps)

        means, squares = _mapped(mean, updates, state.mean), _mapped(square, updates, state.square)
        return _mapped(step, updates, means, squares), MuonState(count, means, squares)

    return optax.GradientTransformation(init, update)


def is_matrix(path: str) -> bool:
    """Whether a parameter is a kernel in a block."""
    return _MATRIX.search(path) is not None


def orthogonal(matrices: Float[Array, "*b i o"]) -> Float[Array, "*b i o"]:
    """The nearest matrices with singular values of about 1, by Newton and Schulz's iteration in the shorter side."""
    wide = matrices.shape[-2] > matrices.shape[-1]
    x = jnp.swapaxes(matrices, -1, -2) if wide else matrices
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_TURNS):
        square = x @ jnp.swapaxes(x, -1, -2)
        x = a * x + (b * square + c * square @ square) @ x
    return jnp.swapaxes(x, -1, -2) if wide else x


def _turned(path: str, step: Array) -> Array:
    matrices = step.reshape(matrix.shape(path, step.shape))
    return (orthogonal(matrices) * 0.2 * max(matrices.shape[-2:]) ** 0.5).reshape(step.shape)


def _square(path: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) if is_matrix(path) else shape


def _mapped(function: Any, first: Any, *rest: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda keys, *leaves: function(trees.path_of(keys), *leaves), first, *rest)
