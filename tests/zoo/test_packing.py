"""Packed documents under a GPT: none sees another, and a loss in pieces is that of all at once."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import decoders, objectives
from mmjax.core import Batch, Factored, Signal, trees

MODEL = decoders.GPT(600, length=16, width=16, depth=2, heads=2, bands=(0, 5))
SEGMENTS = jnp.asarray([[1] * 7 + [2] * 6 + [0] * 3, [1] * 4 + [2] * 4 + [3] * 8], jnp.int32)
POSITIONS = jnp.asarray([[*range(7), *range(6), 0, 0, 0], [*range(4), *range(4), *range(8)]], jnp.int32)


def packed(values):
    return {"text": Signal(jnp.asarray(values), SEGMENTS > 0, SEGMENTS, POSITIONS)}


def test_no_document_leaks_into_another_bit_for_bit():
    values = np.random.default_rng(0).integers(0, 600, SEGMENTS.shape).astype(np.int32)
    params = MODEL.init(jax.random.key(0), packed(values), train=False)
    run = jax.jit(lambda values: MODEL.apply(params, packed(values), train=False).fused.values)
    before = np.asarray(run(values))
    other = np.where(SEGMENTS == 1, (values + 17) % 600, values)
    after = np.asarray(run(other))
    apart = np.asarray(SEGMENTS) != 1
    np.testing.assert_array_equal(before[apart], after[apart])
    assert np.any(before[~apart] != after[~apart])


def test_kernels_that_add_begin_smaller():
    inputs = packed(np.zeros(SEGMENTS.shape, np.int32))
    model = MODEL.clone(width=128, depth=8, bands=())
    leaves = trees.flatten(model.init(jax.random.key(0), inputs, train=False)["params"])
    for path, leaf in leaves.items():
        if path.endswith("kernel"):
            expected = 0.02 / 4 if path.endswith(("out/kernel", "down/kernel")) else 0.02
            np.testing.assert_allclose(np.std(leaf), expected, rtol=0.05)
    np.testing.assert_allclose(np.std(leaves["position/embedding"]), 0.01, rtol=0.1)


def test_the_loss_in_pieces_is_that_of_all_logits():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 600, SEGMENTS.shape).astype(np.int32)
    batch = Batch(packed(values), {"next": Signal(jnp.roll(values, -1, axis=1), SEGMENTS > 0)})
    params = MODEL.init(jax.random.key(0), batch.inputs, train=False)
    objective = objectives.CrossEntropy("next")

    def loss(params, dense):
        outputs = MODEL.apply(params, batch.inputs, train=False)
        factors = outputs.heads["next"]
        assert isinstance(factors, Factored)
        heads = {"next": factors.features @ factors.kernel} if dense else outputs.heads
        return objective(outputs.replace(heads=heads), batch).value()

    one, other = (jax.jit(jax.value_and_grad(lambda p, d=dense: loss(p, d)))(params) for dense in (False, True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one, other)
