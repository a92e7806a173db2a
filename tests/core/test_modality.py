"""Hiding modalities: at the stated rate, never the last one, never one that was not there."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import Mean, Signal, masks, modality


def inputs(rows, **shares):
    rng = np.random.default_rng(0)
    return {
        name: Signal(jnp.ones((rows, 3)), jnp.asarray(np.repeat(rng.random((rows, 1)) < share, 3, 1)))
        for name, share in shares.items()
    }


def seen(signals):
    return np.stack([np.asarray(masks.present(signals[name].mask)) for name in sorted(signals)], 1)


def test_dropout_never_hides_the_last_and_never_invents():
    before = inputs(4000, a=0.7, b=0.7, c=0.2)
    after = modality.dropout(before, rate=0.9, key=jax.random.key(0))
    had, has = seen(before), seen(after)
    assert not (has & ~had).any()
    np.testing.assert_array_equal(has.any(1), had.any(1))


def test_dropout_hides_at_its_rate():
    after = seen(modality.dropout(inputs(20000, a=1, b=1), rate=0.3, key=jax.random.key(1)))
    # Both hidden (0.09) spares one of the two at random.
    np.testing.assert_allclose(after.mean(0), 0.7 + 0.09 / 2, atol=0.01)


def test_no_rate_and_one_modality_change_nothing():
    for given, rate in ((inputs(5, a=1, b=1), 0.0), (inputs(5, a=1), 0.9)):
        after = modality.dropout(given, rate=rate, key=jax.random.key(0))
        assert all(after[name] is given[name] for name in given)


def test_subset_masks_the_rest():
    after = modality.subset(inputs(4, a=1, b=1), ["b"])
    assert not after["a"].mask.any() and after["b"].mask.all()


def test_mean_ignores_what_is_masked_nan_included():
    mean = Mean.of(jnp.array([1.0, jnp.nan, 5.0]), jnp.array([True, False, True]))
    assert float(mean.value()) == 3.0
    assert float((mean + Mean.of(jnp.array([9.0]), jnp.array([True]))).value()) == 5.0


def test_mean_of_nothing_is_zero_with_a_zero_gradient():
    grad = jax.grad(lambda x: Mean.of(x, jnp.zeros(2, bool)).value())(jnp.array([jnp.inf, 1.0]))
    np.testing.assert_array_equal(grad, [0, 0])


def test_attention_keeps_to_real_keys_of_the_same_segment():
    real = jnp.array([[True, True, True, False]])
    segments = jnp.array([[1, 1, 2, 0]])
    allowed = masks.attention(real, real, query_segments=segments, key_segments=segments)[0, 0]
    np.testing.assert_array_equal(
        allowed, [[True, True, False, False], [True, True, False, False], [False, False, True, False], [False] * 4]
    )
