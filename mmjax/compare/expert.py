"""Answers put together from experts that were trained alone: what any fusion has to beat.

Nothing here looks at the answers of the rows that are measured. How far an expert can be trusted is learned from
training rows that a twin of it, trained without them, was asked about; the prior is that of the training rows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize

from mmjax.compare.result import Result

Logits = Float[np.ndarray, "n k"]
PRODUCT, MEAN, STACK = "product of experts", "mean of experts", "stacked experts"
ABOUT = {
    PRODUCT: "calibrated, the prior divided out",
    MEAN: "of calibrated probabilities",
    STACK: "a logistic regression on training rows held out",
}
_TEMPERATURES = np.geomspace(0.1, 10, 401)
_PENALTY = 1.0  # of each squared step that stacking takes away from the product of experts


def log_softmax(logits: Float[np.ndarray, "... k"]) -> Float[np.ndarray, "... k"]:
    """Log-probabilities in float64."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def log_prior(answers: Int[np.ndarray, " n"], classes: int) -> Float[np.ndarray, " k"]:
    """How frequent each class is among the known answers, each counted once more so that none is impossible."""
    counts = np.bincount(answers[answers >= 0], minlength=classes) + 1.0
    return np.log(counts / counts.sum())


def temperature(logits: Logits, targets: Int[np.ndarray, " n"]) -> float:
    """What divides the logits so that they are calibrated best (Guo et al., 2017, https://arxiv.org/abs/1706.04599).

    Half a squared log-temperature is added to the sum of log losses, so that no rows leave the logits as they are.
    """
    rows = np.arange(len(targets))
    losses = [-log_softmax(logits / t)[rows, targets].sum() + 0.5 * np.log(t) ** 2 for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def product(evidence: Float[np.ndarray, "m n k"], prior: Float[np.ndarray, " k"]) -> Logits:
    """The posterior of experts that are independent given the class: the prior counts once.

    evidence: log-probabilities less log-priors, 0 where an expert has nothing to go by (Hinton, 2002,
    https://doi.org/10.1162/089976602760128018).
    """
    return log_softmax(prior + evidence.sum(axis=0))


def mean(evidence: Float[np.ndarray, "m n k"], prior: Float[np.ndarray, " k"]) -> Logits:
    """The mean of the calibrated probabilities of the experts that have something to go by; else the prior."""
    here = np.any(evidence != 0, axis=2, keepdims=True)
    total = np.where(here, np.exp(prior + evidence), 0).sum(axis=0)
    count = here.sum(axis=0)
    return np.log(np.where(count > 0, total / np.maximum(count, 1), np.exp(prior)) + 1e-12)


def stacking(
    evidence: Float[np.ndarray, "m n k"], targets: Int[np.ndarray, " n"], prior: Float[np.ndarray, " k"]
) -> Callable[[Float[np.ndarray, "m n k"]], Logits]:
    """A logistic regression over the experts (Wolpert, 1992, https://doi.org/10.1016/S0893-6080(05)80023-1).

    A weight for each expert and a bias for each class, drawn towards the product of experts, which is where it begins.
    """
    m, n, k = evidence.shape
    hits = np.eye(k)[targets]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(prior + theta[m:] + np.tensordot(theta[:m], evidence, 1))
        step = theta - start
        off = np.exp(logs) - hits
        gradient = np.concatenate([(evidence * off).sum(axis=(1, 2)), off.sum(axis=0)])
        return -(hits * logs).sum() + 0.5 * _PENALTY * float(step @ step), gradient + _PENALTY * step

    start = np.concatenate([np.ones(m), np.zeros(k)])
    theta = optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x if n else start
    return lambda found: log_softmax(prior + theta[m:] + np.tensordot(theta[:m], found, 1))


def combine(
    alone: Mapping[str, Result],
    calibrated: Mapping[str, Result],
    *,
    prior: Float[np.ndarray, " k"],
    here: Mapping[str, Bool[np.ndarray, " n"]],
    there: Mapping[str, Bool[np.ndarray, " n"]],
    subsets: Sequence[Sequence[str]],
) -> dict[str, Result]:
    """The product, the mean and the stack of experts, a result each, seed by seed.

    alone, calibrated: by modality, experts on the rows to measure and their twins on training rows held out (none:
    the experts are taken as they are). prior: of the training rows. here, there: which of the rows to measure
    and of those held out have the modality at all.
    """
    first = next(iter(alone.values()))
    modalities = list(alone)
    found: dict[str, dict[str, list[Logits]]] = {}
    for seed in range(first.seeds):
        heat, ways = _learned(calibrated, modalities, seed, prior, there)
        known = {name: _evidence(alone[name], seed, heat[name], prior, here[name][first.index]) for name in modalities}
        for names in subsets:
            given = np.stack([known[n] if n in names else np.zeros_like(known[n]) for n in modalities])
            for way, fold in ways.items():
                found.setdefault(way, {}).setdefault("+".join(names), []).append(fold(given))
    facts = _cost(alone, calibrated)
    return {
        way: Result({name: np.stack(each) for name, each in by.items()}, first.targets, first.index, facts)
        for way, by in found.items()
    }


def _learned(
    calibrated: Mapping[str, Result],
    modalities: Sequence[str],
    seed: int,
    prior: Float[np.ndarray, " k"],
    there: Mapping[str, Bool[np.ndarray, " n"]],
) -> tuple[dict[str, float], dict[str, Callable[[np.ndarray], Logits]]]:
    """Each expert's temperature, and the ways to put evidence together, from the rows held out."""
    ways: dict[str, Callable[[np.ndarray], Logits]] = {
        PRODUCT: lambda given: product(given, prior),
        MEAN: lambda given: mean(given, prior),
    }
    if not calibrated:
        return dict.fromkeys(modalities, 1.0), ways
    heat = {}
    for name in modalities:
        result = calibrated[name]
        seen = there[name][result.index]
        heat[name] = temperature(_logits(result, seed)[seen], result.targets[seen])
    some = calibrated[modalities[0]]
    held = [_evidence(calibrated[n], seed, heat[n], prior, there[n][some.index]) for n in modalities]
    return heat, ways | {STACK: stacking(np.stack(held), some.targets, prior)}


def _logits(result: Result, seed: int) -> Logits:
    return next(iter(result.scores.values()))[seed]


def _evidence(
    result: Result, seed: int, heat: float, prior: Float[np.ndarray, " k"], here: Bool[np.ndarray, " n"]
) -> Logits:
    """What an expert adds to the prior: nothing where its modality is not there."""
    return np.where(here[:, None], log_softmax(_logits(result, seed) / heat) - prior, 0.0)


def _cost(alone: Mapping[str, Result], calibrated: Mapping[str, Result]) -> dict[str, Any]:
    """All experts together; their training includes that of the twins."""

    def total(name: str, *groups: Mapping[str, Result]) -> Any:
        return sum(result.facts[name] for group in groups for result in group.values())

    return {
        "parameters": total("parameters", alone),
        "flops": total("flops", alone),
        "train_seconds": total("train_seconds", alone, calibrated),
        "predict_seconds": total("predict_seconds", alone),
        "compile_seconds": total("compile_seconds", alone, calibrated),
    }
