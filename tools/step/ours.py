"""The networks in mmjax, trained by its own step."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from mmjax import Multimodal, encoders, fusion, heads, objectives
from mmjax.core import Batch, Outputs, Signal
from mmjax.train import AdamW, Constant, Optim, flat, make_step, sharding
from mmjax.train.activation import Placed
from mmjax.train.state import make_init
from tools.step.shape import DECAY, MELS, PATCH, RATE, SIZES, WORDS, Shape


class Language(linen.Module):
    """A causal trunk that says the next word."""

    text: encoders.Text
    head: heads.Words

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool) -> Outputs:
        tokens = self.text(inputs["causal"], train=train)
        return Outputs(streams={"causal": tokens}, fused=tokens, heads={"y": self.head(tokens, train=train)})


class First(linen.Module):
    """The one stream that there is."""

    def __call__(self, streams: Mapping[str, Any], *, train: bool) -> Any:
        return next(iter(streams.values()))


def model(shape: Shape) -> linen.Module:
    """The network of a shape."""
    sizes: dict[str, Any] = {"width": shape.width, "depth": shape.depth, "heads": shape.heads}
    if shape.causal:
        return Language(encoders.Text(WORDS, causal=True, **sizes), heads.Words(WORDS))
    fronts = {
        "picture": encoders.Image(patch=PATCH, convolutions=0, **sizes),
        "audio": encoders.Audio(mels=MELS, **sizes),
        "text": encoders.Text(WORDS, **sizes),
    }
    over = fusion.Joint(shape.width, shape.joint, shape.heads) if shape.joint else First()
    return Multimodal({kind: fronts[kind] for kind in shape.kinds}, over, {"y": heads.Classify(shape.classes)})


def signal(kind: str, rows: int, rng: np.random.Generator) -> Signal:
    """Made-up rows of a kind."""
    size = SIZES[kind]
    if kind in ("text", "causal"):
        return Signal(jnp.asarray(rng.integers(0, WORDS, (rows, size)), jnp.int32), jnp.ones((rows, size), bool))
    if kind == "picture":
        return Signal(jnp.asarray(rng.normal(size=(rows, size, size, 3)), jnp.float32), jnp.ones((rows, 1), bool))
    return Signal(jnp.asarray(rng.normal(size=(rows, size, MELS)), jnp.float32), jnp.ones((rows, size), bool))


def batch(shape: Shape) -> Batch:
    """Made-up rows and their answers."""
    rng = np.random.default_rng(0)
    answers = (shape.batch, SIZES["causal"]) if shape.causal else (shape.batch,)
    labels = jnp.asarray(rng.integers(0, shape.classes, answers), jnp.int32)
    inputs = {kind: signal(kind, shape.batch, rng) for kind in shape.kinds}
    return Batch(inputs, {"y": Signal(labels, jnp.ones(answers, bool))})


def stepper(shape: Shape, **changes: Any) -> Callable[[], float]:
    """A step, placed, laid and compiled as by ``mmjax train``, that goes on from where it was; gives the loss."""
    network, rows = model(shape).clone(**changes), batch(shape)
    optim = Optim(lr=RATE, rule=AdamW(decay=DECAY), schedule=Constant(), clip=0.0)
    optimizer, mesh = optim.build(1_000), sharding.single()
    state = jax.jit(make_init(network, optimizer, rows))(jax.random.key(0))
    places = jax.tree.map(lambda _: sharding.replicated(mesh), state)
    layout, placed = flat.layout(state.params, places.params, optim), Placed(network, mesh, sharding.Mesh())
    function = make_step(placed, {"y": objectives.CrossEntropy("y")}, optimizer, cut=layout.cut)
    held = flat.Held(layout, function, jax.eval_shape(lambda: state), places, mesh)
    now = [held.laid(state)]

    def once() -> float:
        now[0], metrics = held.step(now[0], rows)
        return float(metrics["loss"])

    return once
