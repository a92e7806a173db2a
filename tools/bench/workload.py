"""What is measured: experiments over made-up rows, small for a processor, at their real size for an accelerator."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array

from mmjax import Experiment, Multimodal, Optim, Run, encoders, fusion, heads, nn, objectives
from mmjax.core import Batch, Mean, Outputs, Signal
from mmjax.data.schema import Schema


@dataclasses.dataclass(frozen=True)
class Noise:
    """A field of random values: whole numbers below ``below``, or normal ones where that is 0.

    mask: how many of the first axes the mask has; of none, as a picture's, it has one a row.
    """

    kind: str
    shape: tuple[int, ...]
    below: int = 0
    mask: int = 1

    columns = ("noise",)

    def batch(self, examples: Sequence[Any]) -> Signal:
        shape, rng = (len(examples), *self.shape), np.random.default_rng(0)
        values = rng.integers(0, self.below, shape, np.int32) if self.below else rng.normal(size=shape)
        mask = np.ones((len(examples), *(self.shape[: self.mask] if self.mask or not self.shape else (1,))), bool)
        return Signal(values.astype(np.int32 if self.below else np.float32), mask)

    def describe(self) -> str:
        return "made up"


@dataclasses.dataclass(frozen=True)
class Made:
    """A dataset of ``rows`` made-up rows that are the same."""

    inputs: Mapping[str, Noise]
    targets: Mapping[str, Noise]
    batch: int
    rows: int = 8
    seed: int = 0
    augment: tuple[Any, ...] = ()

    name, rejects, cached = "noise", (), True

    def fit(self) -> Schema:
        return Schema(self.inputs, self.targets)  # pyright: ignore[reportArgumentType]

    def open(self, schema: Any) -> "Made":
        return self

    def notes(self) -> list[str]:
        return []

    def __len__(self) -> int:
        return self.rows

    def example(self) -> Batch:
        """A whole batch."""
        return self.fit().example(self.batch)


class Language(linen.Module):
    """A causal trunk that says the next word: a GPT without its tied embedding."""

    text: encoders.Text
    head: heads.Words

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool) -> Outputs:
        tokens = self.text(inputs["text"], train=train)
        return Outputs(streams={"text": tokens}, fused=tokens, heads={"next": self.head(tokens, train=train)})


class Pair(linen.Module):
    """Two towers that meet in the loss alone."""

    towers: Mapping[str, linen.Module]

    @linen.compact
    def __call__(self, inputs: Mapping[str, Signal], *, train: bool) -> Outputs:
        streams = {name: tower(inputs[name], train=train) for name, tower in self.towers.items()}
        pooled = {name: nn.pool.mean(tokens.values, tokens.mask) for name, tokens in streams.items()}
        first = next(iter(streams.values()))
        return Outputs(streams=streams, fused=first, heads=pooled)


@dataclasses.dataclass(frozen=True)
class Matched:
    """The sigmoid loss over all pairs of a batch (SigLIP, Zhai et al., 2023, https://arxiv.org/abs/2303.15343)."""

    target: str
    weight: float = 1.0
    head: str | None = None

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean:
        left, right = (self._unit(values) for values in outputs.heads.values())
        logits = 10.0 * left @ right.T - 10.0
        signs = 2 * jnp.eye(len(logits)) - 1
        losses = jnp.logaddexp(0.0, -signs * logits.astype(jnp.float32)).sum(-1)
        return Mean.of(losses, jnp.ones_like(losses, bool))

    def _unit(self, values: Array) -> Array:
        return values / jnp.linalg.norm(values.astype(jnp.float32), axis=-1, keepdims=True).astype(values.dtype)


def experiment(model: linen.Module, loss: Any, data: Made) -> Experiment:
    """One training step's worth of everything else."""
    return Experiment(model, data, {"loss": loss}, optim=Optim(lr=1e-3, clip=0.0), run=Run(steps=1_000))


def language(batch: int, length: int, words: int, **trunk: Any) -> Experiment:
    """A causal trunk over ``length`` of so many words."""
    text = encoders.Text(words, causal=True, positions=trunk.pop("positions", "learned"), length=length, **trunk)
    data = Made({"text": Noise("text", (length,), words)}, {"next": Noise("class", (length,), words)}, batch)
    head = heads.Words(words, dtype=trunk.get("dtype", "float32"))
    return experiment(Language(text, head), objectives.CrossEntropy("next"), data)


def one(name: str, encoder: linen.Module, noise: Noise, batch: int) -> Experiment:
    """One encoder that learns ten classes."""
    model = Multimodal({name: encoder}, fusion.Sum(width=getattr(encoder, "width", 64)), {"label": heads.Classify(10)})
    return experiment(model, objectives.CrossEntropy("label"), Made({name: noise}, {"label": LABEL}, batch))


LABEL = Noise("class", (), 10, mask=0)


def picture(batch: int, size: int, **fields: Any) -> Experiment:
    """Pictures of ``size`` x ``size``."""
    return one("image", encoders.Image(convolutions=0, **fields), Noise("image", (size, size, 3), mask=0), batch)


def sound(batch: int, seconds: float, **fields: Any) -> Experiment:
    """Recordings at 16 kHz."""
    return one("audio", encoders.Audio(**fields), Noise("audio", (int(16_000 * seconds),)), batch)


def frames(batch: int, count: int, **fields: Any) -> Experiment:
    """Recordings as ``count`` log-mel frames of 80 bands."""
    return one("audio", encoders.Audio(**fields), Noise("audio", (count, 80)), batch)


def pair(batch: int, size: int, length: int, words: int, patch: int, **trunk: Any) -> Experiment:
    """Pictures and texts that belong together."""
    towers = {
        "image": encoders.Image(convolutions=0, patch=patch, positions="learned", **trunk),
        "text": encoders.Text(words, positions="learned", length=length, **trunk),
    }
    inputs = {"image": Noise("image", (size, size, 3), mask=0), "text": Noise("text", (length,), words)}
    return experiment(Pair(towers), Matched("label"), Made(inputs, {"label": LABEL}, batch))
