"""One model trained with every seed, and measured once on everything."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmjax import flops
from mmjax.compare.plan import Entry
from mmjax.compare.result import Result
from mmjax.core import trees
from mmjax.train import seeds as several
from mmjax.train.prepare import Prepared


def run(
    entry: Entry,
    prepared: Prepared,
    seeds: Sequence[int],
    *,
    together: bool | None = None,
    tick: Callable[[int], None] = lambda steps: None,
) -> Result:
    """Train and measure. A model that diverges is a result, too: a failed one.

    facts: ``parameters``; ``flops`` of a forward pass of one example; ``train_seconds`` of one seed,
    ``predict_seconds`` of one example (in batches, on the devices alone), ``compile_seconds`` of both, apart.
    """
    begun = time.monotonic()
    facts: dict[str, Any] = cost(prepared)
    try:
        runs = several.train(prepared, seeds, together=together, tick=tick)
    except FloatingPointError as error:
        return Result.failure(str(error), **facts)
    evaluation = prepared.evaluations["val"]
    (head,) = evaluation.measures
    said = several.answers(evaluation, runs.weights, entry.subsets)
    first = said.rows[0][0][head]
    scores = {
        "+".join(names): np.stack([rows[head].scores for rows in by_seed])
        for names, by_seed in zip(entry.subsets, said.rows, strict=True)
    }
    facts |= {
        "train_seconds": runs.seconds / len(seeds),
        "predict_seconds": said.seconds / len(evaluation.examples),
        "compile_seconds": runs.compiling + said.compiling,
        "seconds": time.monotonic() - begun,
        "together": runs.together,
    }
    if not all(np.isfinite(each).all() for each in scores.values()):
        return Result.failure("it answers with NaN or infinity; train it with a lower optim.lr", **facts)
    return Result(scores, first.targets, first.index, facts)


def cost(prepared: Prepared) -> dict[str, Any]:
    """Parameters, and FLOPs of one example's forward pass, known before anything runs."""
    variables = {"params": prepared.shapes.params, **prepared.shapes.variables}
    model, inputs = prepared.experiment.model, prepared.schema.example(1).inputs
    forward = flops.count(lambda v, i: model.apply(v, i, train=False), variables, inputs)
    return {"parameters": trees.count(prepared.shapes.params), "flops": forward}
