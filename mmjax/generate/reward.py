"""Rewards that a program can check: ``(prompt, answer, truth) -> float``, texts all three. Any such value will do."""

import re
from dataclasses import dataclass


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
