"""Answers of the model that is being trained, and what they are worth: what a step learns from in place of truths."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import Batch, Signal, UserError
from mmjax.generate.choice import Choice
from mmjax.generate.judge import opened
from mmjax.generate.sampling import answered
from mmjax.objectives import advantage, likelihood

AGAINST = ("group", "mean", "likeliest", "value")
DRAWN = 2**32 - 1  # parts the key of what is drawn from a step's own


@dataclasses.dataclass(frozen=True)
class Rollout:
    """To each prompt ``group`` answers, drawn by ``how`` from the weights as they are, and rewarded.

    It stands in ``Experiment.rollout``; ``objectives.Policy``, ``SelfCritical`` and ``Values`` learn from it, and
    what truths the data have are for the reward alone. reward: ``(prompt, answer, truth) -> float``, a value such as
    ``reward.Exact()``. A batch of the data is so many prompts; a step's has ``group`` times as many rows.

    against: what a reward is held against.

    * ``group``: the mean of the prompt's answers, over their deviation (GRPO); ``mean``: the mean alone (Dr. GRPO);
    * ``likeliest``: the reward of the answer that has at each place the likeliest word (SCST);
    * ``value``: what head ``value`` of the model expected before each word, by ``gamma`` and ``trace`` (PPO with
      generalized advantages); on each word lies a ``toll`` for how much likelier it is than to the reference.

    reference: give each word's log-probability by the weights that the run began with, too (``value`` does so anyway).

    words: the most words of an answer. prompt: how many tokens of a row are its prompt. 0 for both: as the field of
    ``target``, a ``fields.Reply``, says. Figures ``reward``, ``words`` (of an answer) and ``divergence`` (from the
    reference, of an answer) stand beside the losses of a step.
    """

    reward: Any
    group: int = 8
    how: Choice = Choice()
    against: str = "group"
    gamma: float = 1.0
    trace: float = 0.95
    toll: float = 0.02
    reference: bool = False
    words: int = 0
    prompt: int = 0
    target: str = "next"
    value: str = "value"

    def __post_init__(self) -> None:
        if self.against not in AGAINST:
            raise UserError(f"rollout.against={self.against!r} must be one of {', '.join(AGAINST)}")
        least = 2 if self.against in AGAINST[:2] else 1
        if self.group < least or self.how.temperature == 0:
            raise UserError(
                f"rollout.group={self.group} must be {least} or more with against={self.against!r}, and answers drawn "
                "(how.temperature above 0)"
            )

    @property
    def refers(self) -> bool:
        """Whether it reads the weights that the run began with."""
        return self.reference or self.against == "value"

    def example(self, example: Batch) -> Batch:
        """A batch of the data as a step's: its shapes and types."""
        batch = jax.tree.map(lambda leaf: np.repeat(leaf, self.group, axis=0), example)
        if self.target not in batch.targets:
            raise UserError(f"rollout wants target {self.target!r}; the data has {', '.join(batch.targets)}")
        text = batch.targets[self.target]
        names = ["advantage"] + ["reference"] * self.refers + ["old", "values", "returns"] * (self.against == "value")
        blank = Signal(np.zeros(text.mask.shape, np.float32), np.zeros(text.mask.shape, bool))
        return batch.replace(targets={self.target: text, **dict.fromkeys(names, blank)})

    def open(
        self, model: Any, schema: Any, put: Callable[[Any], Any], own: Callable[[Any], Any] = jax.device_get
    ) -> "Opened":
        """Ready to be called. put: from the host to the devices, by rows; own: back, this process's rows."""
        return Opened(self, model, schema, put, own)


class Opened:
    """A rollout of this model on these data: pure functions of weights, rows and key, compiled once."""

    def __init__(self, rollout: Rollout, model: Any, schema: Any, put: Callable[[Any], Any], own: Callable[[Any], Any]):
        self.rollout, self.model, self.put, self.own = rollout, model, put, own
        self.judge, self.sampler = opened(rollout, model, schema)
        self._draw = jax.jit(self._drawn, static_argnames="how")
        self._learn = jax.jit(self._learned)

    def __call__(
        self, weights: Any, begun: Any, batch: Batch, *, key: Any, step: Any
    ) -> tuple[Batch, dict[str, float]]:
        """What the step is to learn from, on the devices, and figures of it. batch: of the data, on the host.

        begun: the weights to stay near to, None where nobody refers to them.
        """
        own = self.rollout
        rows, prompts, truths = self.judge.prompts(batch)
        baseline = np.zeros(len(prompts), np.float32)
        if own.against == "likeliest":
            likeliest = self._draw(weights, self.put(rows.inputs), key, step, how=Choice(temperature=0))
            baseline = self.judge.rewards(prompts, self.own(likeliest), truths)
        given = self.put(jax.tree.map(lambda leaf: np.repeat(leaf, own.group, axis=0), rows.inputs))
        prompts, truths = ([one for one in each for _ in range(own.group)] for each in (prompts, truths))
        said = self._draw(weights, given, key, step, how=own.how)
        rewards = self.judge.rewards(prompts, self.own(said), truths)
        rewards, baseline = self.put((rewards, np.repeat(baseline, own.group)))
        learned, figures = self._learn(weights, begun, given, said, rewards, baseline)
        return self.put(learned), {name: float(value) for name, value in jax.device_get(figures).items()}

    def _drawn(self, weights: Any, inputs: Any, key: Any, step: Any, how: Choice) -> Any:
        return self.sampler(weights, inputs, jax.random.fold_in(jax.random.fold_in(key, step), DRAWN), how)

    def _learned(
        self, weights: Any, begun: Any, inputs: Any, said: Any, rewards: Any, baseline: Any
    ) -> tuple[Batch, dict[str, Any]]:
        """The batch with all that is to be known of its words, and figures of it."""
        own, scores = self.rollout, rewards - baseline
        batch = answered(Batch(inputs, {}), said, stream=self.model.stream, target=own.target)
        mask: Any = batch.targets[own.target].mask
        if own.against != "value":
            found = scores
            if own.against != "likeliest":
                found = advantage.grouped(scores, own.group, scaled=own.against == "group")
            facts = {"advantage": jnp.where(mask, found[:, None], 0)}
        figures = {"reward": jnp.mean(rewards), "words": jnp.mean(jnp.sum(said >= 0, axis=1).astype(jnp.float32))}
        if own.refers:
            outputs = self.model.apply(weights, batch.inputs, train=False)
            words, known = (
                likelihood.logs(each, batch, target=own.target, head=self.model.head).scores
                for each in (outputs, self.model.apply(begun, batch.inputs, train=False))
            )
            figures["divergence"] = jnp.mean(jnp.sum(words - known, axis=1))
            if own.against == "value":
                facts = self._valued(outputs, mask, scores, words, known)
            facts["reference"] = known
        targets = {name: Signal(values, mask) for name, values in facts.items()}
        return batch.replace(targets={**batch.targets, **targets}), figures

    def _valued(self, outputs: Any, mask: Any, scores: Any, words: Any, known: Any) -> dict[str, Any]:
        own = self.rollout
        rewards = advantage.paid(scores, mask, own=words, reference=known, toll=own.toll)
        values = jnp.where(mask, outputs.heads[own.value].astype(jnp.float32), 0)
        found = advantage.generalized(rewards, values, mask, gamma=own.gamma, trace=own.trace)
        white = advantage.whitened(found, mask)
        return {"advantage": white, "old": words, "values": values, "returns": jnp.where(mask, found + values, 0)}
