"""Rewards that a program can check: ``(prompt, answer, truth) -> float``, texts all three. Any such value will do.

One that wants all answers of a step at once has ``many``, too, of as many prompts, answers and truths, as that of a
reward model (``generate.Learned``).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from mmjax.core import UserError
from mmjax.metrics import sentence


def each(reward: Any, prompts: Sequence[str], answers: Sequence[str], truths: Sequence[str]) -> np.ndarray:
    """What every answer is worth: ``n``, float64."""
    if hasattr(reward, "many"):
        return np.asarray(reward.many(prompts, answers, truths), np.float64)
    return np.array([reward(*one) for one in zip(prompts, answers, truths, strict=True)], np.float64)


@dataclass(frozen=True)
class Exact:
    """1 where the answer is the truth, but for case and spaces around; else 0."""

    def __call__(self, prompt: str, answer: str, truth: str) -> float:
        return float(answer.strip().casefold() == truth.strip().casefold())


@dataclass(frozen=True)
class Number:
    """1 where the last number of the answer is that of the truth; else 0. So an answer may show its work."""

    def __call__(self, prompt: str, answer: str, truth: str) -> float:
        found, right = (re.findall(r"-?\d+(?:\.\d+)?", text) for text in (answer, truth))
        return float(bool(found and right) and float(found[-1]) == float(right[-1]))


@dataclass(frozen=True)
class Share:
    """The share of an answer's characters that are among ``of``; with ``sign=-1`` those are to be few."""

    of: str = "!"
    sign: float = 1.0

    def __call__(self, prompt: str, answer: str, truth: str) -> float:
        return self.sign * sum(letter in self.of for letter in answer) / max(len(answer), 1)


@dataclass(frozen=True)
class Length:
    """Characters of an answer, over ``scale``; with ``sign=-1`` short ones are better."""

    scale: float = 1.0
    sign: float = 1.0

    def __call__(self, prompt: str, answer: str, truth: str) -> float:
        return self.sign * len(answer) / self.scale


@dataclass(frozen=True)
class Sentence:
    """A figure of captions (``metrics.sentences``), as SCST learns from: CIDEr-D, or another of a row by itself.

    How rare words are CIDEr learns from ``corpus``, captions of as many pictures; if empty, from the truths of all
    answers that are rewarded at once, which one process alone has all of. Raises UserError where it has nothing to
    learn that from: of one caption all words are as rare, and every answer would be worth 0.
    """

    figure: str = "cider"
    corpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.figure not in sentence.EACH:
            raise UserError(f"reward.Sentence: figure={self.figure!r}; it can be {', '.join(sentence.EACH)}")

    def __call__(self, prompt: str, answer: str, truth: str) -> float:
        return float(self.many([prompt], [answer], [truth])[0])

    def many(self, prompts: Sequence[str], answers: Sequence[str], truths: Sequence[str]) -> list[float]:
        if self.figure == "cider":
            self._check(truths)
        corpus = [(caption,) for caption in self.corpus]
        return sentence.each(self.figure, answers, [(truth,) for truth in truths], corpus)

    def _check(self, truths: Sequence[str]) -> None:
        if len(set(self.corpus or truths)) < 2:
            raise UserError("reward.Sentence: CIDEr wants two captions that differ; give some in corpus")
        if not self.corpus and jax.process_count() > 1:
            raise UserError("reward.Sentence: each of several processes has truths of its own; give captions in corpus")
