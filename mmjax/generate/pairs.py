"""Pairs of answers, of which a function says which is better: what ``objectives.Preference`` learns from."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import Batch, Signal, UserError, segments
from mmjax.generate.choice import Choice
from mmjax.generate.judge import opened
from mmjax.generate.rollout import DRAWN
from mmjax.generate.sampling import answered
from mmjax.objectives import likelihood


@dataclasses.dataclass(frozen=True)
class Pairs:
    """To each prompt two answers, drawn by ``how``; the one with more ``reward`` is segment 1 of a row, the other 2.

    It stands in ``Experiment.rollout``. What else the data have, as pictures, goes with both; ``stream`` is the
    modality of the prompts. Pairs of equal reward teach nothing and are masked. Answers are drawn from the
    weights that the run began with, which are the ``reference`` of each word, too; or, with ``own``, from the weights
    as they are (online DPO, Guo et al., 2024, https://arxiv.org/abs/2402.04792). Other fields are those of ``Rollout``.

    Figures: ``reward`` of the answers; ``pairs``, the share of prompts with a better and a worse one; ``apart``, by how
    much more than the reference the policy tells these apart, and ``divergence``, the reference's from it.
    """

    reward: Any
    how: Choice = Choice()
    own: bool = False
    words: int = 0
    prompt: int = 0
    target: str = "next"
    stream: str = "text"

    refers = True

    def example(self, example: Batch) -> Batch:
        """A batch of the data as a step's: its shapes and types."""
        if self.stream not in example.inputs or self.target not in example.targets:
            raise UserError(
                f"generate.Pairs wants prompts {self.stream!r} with target {self.target!r}; {_has(example)}"
            )
        text, follows = (
            segments.beside([each] * 2, np) for each in (example.inputs[self.stream], example.targets[self.target])
        )
        known = Signal(np.zeros(follows.mask.shape, np.float32), follows.mask)
        targets = {self.target: follows.replace(positions=None), "reference": known}
        return Batch({**example.inputs, self.stream: text}, targets)

    def open(
        self, model: Any, schema: Any, put: Callable[[Any], Any], own: Callable[[Any], Any] = jax.device_get
    ) -> "Opened":
        """Ready to be called. put: from the host to the devices, by rows; own: back, this process's rows."""
        return Opened(self, model, schema, put, own)


class Opened:
    """Pairs by this model on these data: pure functions of weights, rows and key, compiled once."""

    def __init__(self, pairs: Pairs, model: Any, schema: Any, put: Callable[[Any], Any], own: Callable[[Any], Any]):
        self.pairs, self.model, self.put, self.own = pairs, model, put, own
        self.judge, self.sampler = opened(pairs, model, schema)
        if model.stream != pairs.stream:
            raise UserError(f"rollout.stream={pairs.stream!r}, but the model reads {model.stream!r}")
        self._draw = jax.jit(self._drawn)
        self._learn = jax.jit(self._learned)

    def __call__(
        self, weights: Any, begun: Any, batch: Batch, *, key: Any, step: Any
    ) -> tuple[Batch, dict[str, float]]:
        """What the step is to learn from, on the devices, and figures of it. batch: of the data, on the host."""
        rows, prompts, truths = self.judge.prompts(batch)
        given = self.put(jax.tree.map(lambda leaf: np.repeat(leaf, 2, axis=0), rows.inputs))
        said = self._draw(weights if self.pairs.own else begun, given, key, step)
        prompts, truths = ([one for one in each for _ in range(2)] for each in (prompts, truths))
        rewards = self.judge.rewards(prompts, self.own(said), truths)
        learned, figures = self._learn(weights, begun, given, said, self.put(rewards))
        return self.put(learned), {name: float(value) for name, value in jax.device_get(figures).items()}

    def _drawn(self, weights: Any, inputs: Any, key: Any, step: Any) -> Any:
        own = jax.random.fold_in(jax.random.fold_in(key, step), DRAWN)
        return self.sampler(weights, inputs, own, self.pairs.how)

    def _learned(self, weights: Any, begun: Any, inputs: Any, said: Any, rewards: Any) -> tuple[Batch, dict[str, Any]]:
        target, stream = self.pairs.target, self.model.stream
        one, other = rewards[0::2], rewards[1::2]
        first = jnp.where(one >= other, 0, 1)
        said = jnp.where((one == other)[:, None, None], -1, said.reshape(len(one), 2, -1))
        prompts = jax.tree.map(lambda leaf: leaf[0::2], inputs)
        halves = []
        for which in (first, 1 - first):
            own = jnp.take_along_axis(said, which[:, None, None], axis=1)[:, 0]
            halves.append(answered(Batch(prompts, {}), own, stream=stream, target=target))
        text = segments.beside([half.inputs[stream] for half in halves])
        follows: Any = segments.beside([half.targets[target] for half in halves]).replace(positions=None)
        batch = Batch({**prompts, stream: text}, {target: follows})
        batch, far = beside(self.model, weights, begun, batch, target=target)
        sums = segments.summed(far, follows.mask, follows.segments, 2)
        count = jnp.maximum(jnp.sum(one != other), 1)
        apart, left = jnp.sum(sums[:, 0] - sums[:, 1]) / count, -jnp.sum(sums) / (2 * count)
        figures = {"reward": jnp.mean(rewards), "pairs": jnp.mean(one != other), "apart": apart, "divergence": left}
        return batch, figures


def beside(model: Any, weights: Any, begun: Any, batch: Batch, *, target: str) -> tuple[Batch, jax.Array]:
    """The batch with each word's log-probability by the weights ``begun`` as target ``reference``, and how much more
    it is by ``weights``: ``b t``, 0 where masked."""
    words, known = (
        likelihood.logs(model.apply(each, batch.inputs, train=False), batch, target=target, head=model.head).scores
        for each in (weights, begun)
    )
    reference = Signal(known, batch.targets[target].mask)
    return batch.replace(targets={**batch.targets, "reference": reference}), words - known


def _has(example: Batch) -> str:
    return f"the data has {', '.join(example.inputs)} and {', '.join(example.targets) or 'no target'}"
