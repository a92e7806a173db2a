"""The step: accumulation is exact, masks count, state moves as it should."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mmjax import fusion, heads, objectives
from mmjax.core import LOSSES, Batch, Mean, Outputs, Signal, Tokens, UserError
from mmjax.train import Optim, Sgd, make_step
from mmjax.train.optim import averaged
from mmjax.train.state import make_init


class Net(nn.Module):
    """Two heads on one hidden layer: enough of a model for the step."""

    def setup(self):
        self.hidden, self.first, self.second = nn.Dense(8), nn.Dense(1), nn.Dense(1)

    def __call__(self, inputs, *, train):
        x = sum(jnp.where(s.mask, s.values, 0) for s in inputs.values())
        x = jnp.tanh(self.hidden(x))
        heads = {"a": self.first(x)[:, 0], "b": self.second(x)[:, 0]}
        return Outputs(streams={}, fused=Tokens(x[:, None], jnp.ones((len(x), 1), bool)), heads=heads)


class Square:
    """Masked squared error with a weight, as an objective is."""

    def __init__(self, target, weight=1.0):
        self.target, self.weight = target, weight

    def __call__(self, outputs, batch):
        target = batch.targets[self.target]
        return Mean.of((outputs.heads[self.target] - target.values) ** 2, target.mask)


def make_batch(rows=12, seed=0):
    rng = np.random.default_rng(seed)

    def signal(*shape, share):
        return Signal(rng.normal(size=shape).astype(np.float32), rng.random(shape) < share)

    inputs = {"x": signal(rows, 4, share=0.9), "y": signal(rows, 4, share=0.9)}
    return Batch(inputs=inputs, targets={"a": signal(rows, share=0.4), "b": signal(rows, share=0.8)})


OBJECTIVES = {"a": Square("a"), "b": Square("b", weight=0.3)}


def start(optim, steps=10):
    optimizer = optim.build(steps)
    return optimizer, make_init(Net(), optimizer, make_batch())(jax.random.key(1))


@pytest.mark.parametrize("pieces", [2, 3, 12])
def test_accumulation_is_the_whole_batch(pieces):
    optimizer, state = start(Optim(lr=0.1, rule=Sgd(), clip=0.5))
    whole, said = make_step(Net(), OBJECTIVES, optimizer)(state, make_batch())
    parts, also = make_step(Net(), OBJECTIVES, optimizer, accumulate=pieces)(state, make_batch())
    for one, other in zip(jax.tree.leaves(whole.params), jax.tree.leaves(parts.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    for name in said:
        np.testing.assert_allclose(said[name], also[name], rtol=1e-5)


def test_gradient_is_that_of_the_masked_mean():
    optimizer, state = start(Optim(lr=1.0, rule=Sgd(momentum=0.0), clip=0.0, schedule=_constant()))
    batch = make_batch()
    moved, _ = make_step(Net(), OBJECTIVES, optimizer)(state, batch)

    def loss(params):
        heads = Net().apply({"params": params}, batch.inputs, train=True).heads
        a, b = batch.targets["a"], batch.targets["b"]
        first = ((heads["a"] - a.values) ** 2)[np.asarray(a.mask)].mean()
        return first + 0.3 * ((heads["b"] - b.values) ** 2)[np.asarray(b.mask)].mean()

    expected = jax.tree.map(lambda p, g: p - g, state.params, jax.grad(loss)(state.params))
    for one, other in zip(jax.tree.leaves(moved.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_batch_without_labels_moves_nothing():
    optimizer, state = start(Optim(rule=Sgd()))
    batch = make_batch()
    hidden = {k: t.replace(mask=np.zeros_like(t.mask)) for k, t in batch.targets.items()}
    moved, metrics = make_step(Net(), OBJECTIVES, optimizer)(state, batch.replace(targets=hidden))
    assert float(metrics["loss"]) == 0 and float(metrics["grad_norm"]) == 0
    for one, other in zip(jax.tree.leaves(moved.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_modality_dropout_draws_anew_each_step_and_the_same_on_replay():
    optimizer, state = start(Optim(lr=0.0))
    step = jax.jit(make_step(Net(), OBJECTIVES, optimizer, modality_dropout=0.5))
    first, said = step(state, make_batch())
    _, again = step(state, make_batch())
    _, later = step(first, make_batch())
    assert float(said["loss"]) == float(again["loss"]) != float(later["loss"])


@pytest.mark.parametrize("to", [0.0, 1.0])
def test_average_follows_the_parameters(to):
    decay = 0.02 if to else 0.9
    optimizer, state = start(Optim(lr=0.1, average=decay, average_to=to))
    step = jax.jit(make_step(Net(), OBJECTIVES, optimizer))
    expected = state.params
    for count in range(5):
        state, _ = step(state, make_batch(seed=count))
        risen = to - (to - decay) * (1 + np.cos(np.pi * count / 10)) / 2 if to else decay
        rate = min(risen, (1 + count) / (10 + count))
        expected = jax.tree.map(lambda old, new, r=rate: old * r + new * (1 - r), expected, state.params)
    kept = averaged(state.params, state.opt_state)
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_an_average_that_would_fall_is_told():
    with pytest.raises(UserError, match="average_to"):
        Optim(average=0.9, average_to=0.5).build(10)


def test_decay_is_for_kernels_alone():
    _, state = start(Optim())
    optimizer = Optim(lr=0.1).build(10)
    zero = jax.tree.map(jnp.zeros_like, state.params)
    updates, _ = optimizer.update(zero, optimizer.init(state.params), state.params)
    assert float(optax.tree.norm({k: v["kernel"] for k, v in updates.items()})) > 0
    assert float(optax.tree.norm({k: v["bias"] for k, v in updates.items()})) == 0


def _constant():
    from mmjax.train import Constant

    return Constant()


class Wishing(Net):
    """What also wants its hidden layer small."""

    def __call__(self, inputs, *, train):
        out = super().__call__(inputs, train=train)
        self.sow(LOSSES, "small", jnp.mean(jnp.square(out.fused.values)))
        return out


@pytest.mark.parametrize("pieces", [1, 3])
def test_what_layers_want_is_a_loss(pieces):
    optimizer, state = start(Optim(lr=0.1, rule=Sgd(), clip=0.0))
    plain, said = make_step(Net(), OBJECTIVES, optimizer, accumulate=pieces)(state, make_batch())
    moved, also = make_step(Wishing(), OBJECTIVES, optimizer, accumulate=pieces)(state, make_batch())
    np.testing.assert_allclose(also["loss"] - said["loss"], also["loss/layers"], atol=1e-6)
    assert 0 < also["loss/layers"] < 1 and "loss/layers" not in said
    assert jax.tree.structure(moved) == jax.tree.structure(state)  # nothing of it is kept
    difference = optax.tree.sub(moved.params, plain.params)
    assert optax.tree.norm(difference["hidden"]) > 0 == optax.tree.norm(difference["first"])


class Towers(nn.Module):
    """Two modalities, one vector of each."""

    @nn.compact
    def __call__(self, inputs, *, train):
        streams = {name: Tokens(s.values[:, None], jnp.all(s.mask, axis=1)[:, None]) for name, s in inputs.items()}
        fused = fusion.Towers(width=3)(streams, train=train)
        return Outputs(streams, fused, {"scale": heads.Temperature(5.0)(fused, train=train)})


@pytest.mark.parametrize("whole", [True, False])
def test_a_contrast_sees_the_whole_batch_where_gradients_are_cached(whole):
    batch = make_batch(rows=8)
    inputs = {name: s.replace(mask=s.mask | (jnp.arange(8) < 6)[:, None]) for name, s in batch.inputs.items()}
    batch = batch.replace(inputs=inputs)
    optimizer = Optim(lr=0.1, rule=Sgd(), clip=0.0).build(10)
    state = make_init(Towers(), optimizer, batch)(jax.random.key(1))
    contrast = {"pairs": objectives.Contrastive(whole=whole, weight=0.5)}
    one, said = jax.jit(make_step(Towers(), contrast, optimizer))(state, batch)
    parts, also = jax.jit(make_step(Towers(), contrast, optimizer, accumulate=4))(state, batch)
    if not whole:
        assert also["loss"] < said["loss"]  # fewer rows to be told from
        return
    np.testing.assert_allclose(also["loss"], said["loss"], rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), parts.params, one.params)


class Wide(nn.Module):
    """Towers whose hidden layers take far more memory than the vectors that are compared."""

    @nn.compact
    def __call__(self, inputs, *, train):
        streams = {
            name: Tokens(nn.Dense(4)(nn.gelu(nn.Dense(2_048)(s.values)))[:, None], s.mask[:, :1])
            for name, s in inputs.items()
        }
        fused = fusion.Towers(width=3)(streams, train=train)
        return Outputs(streams, fused, {"scale": heads.Temperature(5.0)(fused, train=train)})


def test_cached_gradients_take_the_memory_of_a_part():
    signal = Signal(jnp.zeros((1_024, 4)), jnp.ones((1_024, 4), bool))
    batch = Batch({"one": signal, "other": signal}, {})
    optimizer = Optim(lr=0.1, rule=Sgd(momentum=0.0), clip=0.0).build(10)
    state = jax.eval_shape(make_init(Wide(), optimizer, batch), jax.random.key(1))

    def memory(pieces):
        step = make_step(Wide(), {"pairs": objectives.Contrastive(chunk=64)}, optimizer, accumulate=pieces)
        return jax.jit(step).lower(state, batch).compile().memory_analysis().temp_size_in_bytes

    hidden = 1_024 * 2_048 * 4  # bytes of one tower's
    assert memory(1) > 2 * hidden and memory(16) < hidden / 2
