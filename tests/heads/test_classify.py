"""Tokens to answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import heads
from mmjax.core import Tokens, UserError

TOKENS = Tokens(jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 8)), jnp.bfloat16), jnp.ones((3, 4), bool))


@pytest.mark.parametrize(
    ("head", "shape"),
    [(heads.Classify(5), (3, 5)), (heads.MultiLabel(2), (3, 2)), (heads.Regress(), (3,)), (heads.Regress(2), (3, 2))],
    ids=["classify", "multilabel", "regress", "regress_many"],
)
def test_answers_are_float32_of_the_promised_shape(head, shape):
    out = jax.eval_shape(lambda: head.init_with_output(jax.random.key(0), TOKENS, train=False)[0])
    assert (out.shape, out.dtype) == (shape, jnp.float32)
    packed = TOKENS.replace(segments=jnp.ones((3, 4), jnp.int32))
    several = head.clone(segments=2)
    out = jax.eval_shape(lambda: several.init_with_output(jax.random.key(0), packed, train=False)[0])
    assert out.shape == (3, 2, *shape[1:])


def test_packed_rows_need_a_head_that_expects_them():
    packed = TOKENS.replace(segments=jnp.ones((3, 4), jnp.int32))
    with pytest.raises(UserError, match="segments="):
        jax.eval_shape(lambda: heads.Classify(5).init(jax.random.key(0), packed, train=False))
