"""Which fusion, for these data, at what cost? Every one side by side, with intervals, cost and baselines.

The package itself can be called: ``mmjax.compare(experiment)``.
"""

import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmjax.compare import run as runs
from mmjax.compare.candidate import FUSIONS
from mmjax.compare.plan import plan
from mmjax.train import Experiment

__all__ = ["FUSIONS", "compare"]


def compare(
    experiment: Experiment,
    *,
    seeds: int = 5,
    fusions: Sequence[str] = (),
    workdir: str | Path | None = None,
    head: str = "",
    evaluator: str = "",
    together: bool | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train the majority answer, each modality alone, experts put together, and every fusion; measure all alike.

    fusions: names of ``FUSIONS`` (none: all); the experiment's own is always there, and the reference. head,
    evaluator: what to measure where there are several (none: the first). together: see ``train.seeds.train``.
    With a ``workdir`` every finished model is kept there, and a comparison that was interrupted goes on.

    JSON-ready: ``{"workdir", "evaluation", "head", "count", "classes", "modalities", "subsets", "seeds", "steps",
    "reference", "best", "models", "seconds"}``. ``models`` by name, the most accurate first, each ``{"kind", "about",
    "accuracy", "f1_macro", "calibration_error", "log_loss", "difference", "subsets", "seeds", "parameters", "flops",
    "train_seconds", "predict_seconds", "compile_seconds"}``, or ``"failed"`` with the reason. A figure is
    ``{"value", "low", "high"}``: the mean over the seeds with a 95 % interval over rows and seeds
    (``metrics.Crossed``); ``difference`` is the paired one to the reference. Times are of one seed's training, and of
    predicting one example in batches, both after compilation.

    Raises UserError for what cannot be compared, Interrupted when asked to stop.
    """
    laid = plan(experiment, seeds=seeds, fusions=fusions, head=head, evaluator=evaluator)
    return runs.run(laid, workdir=workdir, together=together, quiet=quiet)


class _Room(types.ModuleType):
    """``mmjax.compare`` is both the room and the verb, as ``mmjax.train`` is."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return compare(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
