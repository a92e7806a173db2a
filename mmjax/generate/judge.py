"""Between words and rewards: which part of a row is a prompt, what an answer says, and what that is worth."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.core import Batch, Signal, UserError
from mmjax.generate import reward
from mmjax.generate.sampling import Sampler, asked


@dataclasses.dataclass(frozen=True)
class Judge:
    """The host's part of a rollout. prompt: how many tokens of a row are its prompt; 0: all before a known answer."""

    reward: Any
    stream: str
    target: str
    prompt: int
    end: int
    tokenizer: Any

    def prompts(self, batch: Batch) -> tuple[Batch, list[str], list[str]]:
        """The batch with its prompts alone and no targets, these as texts, and the truths."""
        known, text = batch.targets[self.target], np.asarray(batch.inputs[self.stream].mask)
        mask = np.asarray(known.mask)
        has = mask.any(axis=1)
        lengths = np.where(has, np.argmax(mask, axis=1) + 1, text.sum(axis=1))
        if self.prompt:
            lengths = np.minimum(self.prompt, text.sum(axis=1))
            mask = mask & (np.arange(mask.shape[1]) >= lengths[:, None] - 1)
        own = asked(batch.inputs[self.stream], lengths)
        return Batch({**batch.inputs, self.stream: own}, {}), self._texts(own), self._texts(Signal(known.values, mask))

    def rewards(self, prompts: Sequence[str], said: np.ndarray, truths: Sequence[str]) -> np.ndarray:
        """What each answer, ids and -1 behind them, is worth."""
        answers = self._texts(Signal(said, said >= 0))
        return reward.each(self.reward, prompts, answers, truths).astype(np.float32)

    def _texts(self, rows: Signal) -> list[str]:
        ids = np.asarray(rows.values)  # of places and of entries that no word has, too
        real = np.asarray(rows.mask) & (ids >= 0) & (ids < self.tokenizer.size) & (ids != self.end)
        return [self.tokenizer.decode(ids[own].tolist()) for ids, own in zip(rows.values, real, strict=True)]


def opened(rollout: Any, model: Any, schema: Any) -> tuple[Judge, Sampler]:
    """Who judges a rollout's answers, and what draws them. Raises UserError where model or data have no words."""
    field = schema.targets.get(rollout.target)
    if not hasattr(model, "stream"):
        raise UserError("a rollout is of a model that continues texts, as decoders.GPT and decoders.Talker")
    if not hasattr(field, "tokenizer"):
        raise UserError(f"a rollout wants target {rollout.target!r} to be words, as fields.Reply and datasets.Texts")
    words, length, end = sizes(field, words=rollout.words, prompt=rollout.prompt)
    if length + words > field.shape[0] + 1:
        raise UserError(
            f"a prompt of {length} and rollout.words={words} are more than the {field.shape[0] + 1} tokens of a row"
        )
    judge = Judge(rollout.reward, model.stream, rollout.target, rollout.prompt, end, field.tokenizer)
    return judge, Sampler(model, words, end)


def sizes(field: Any, *, words: int, prompt: int) -> tuple[int, int, int]:
    """The most words of an answer and of a prompt, and the word that ends an answer, -1 for none."""
    own = getattr(field, "prompt", None)
    if own is None and not (words and prompt):
        raise UserError("rollout.prompt and rollout.words must say how many tokens they have, as the data do not")
    if own is None:
        return words, prompt, -1
    return words or own.reply, prompt or own.length, field.tokenizer.end
