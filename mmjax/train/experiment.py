"""An experiment is one value: model, data, objectives, and how to run them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flax import linen

from mmjax.data.ramp import Ramp
from mmjax.train.lora import Lora
from mmjax.train.optim import Constant, Optim
from mmjax.train.quantized import Quantized
from mmjax.train.sharding import Mesh


@dataclass(frozen=True)
class Evaluator:
    """A dataset to evaluate on, and what to measure there.

    metrics: by head; empty means the standard metrics of each target's kind. subsets: also
    measure every subset of the modalities, each with the rest masked away. reference: rows with known answers that
    probes of a representation learn from (``metrics.Probe``), each time anew. views: what is measured in place of the
    data's rows, as ``views.MaskedWords``; each row by itself, drawn by ``seed`` and the row's number alone, and so the
    same at every step.
    """

    data: Any
    metrics: Mapping[str, Any] = field(default_factory=dict)
    subsets: bool = False
    reference: Any = None
    views: Any = None
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """How long, how often, from which seed. 0 for ``*_every`` means only at the end.

    workers: processes that read and decode training data, beside this one; 0 for threads of this one. flat: between
    steps small parameters and their moments lie end to end, where nothing wants each by itself: a step begins sooner
    and compiles sooner (``train.flat``). ramp: smaller batches for the first steps.
    """

    steps: int = 1_000
    seed: int = 0
    log_every: int = 50
    save_every: int = 0
    evaluate_every: int = 0
    keep: int = 2
    workers: int = 0
    flat: bool = True
    ramp: Ramp | None = None


@dataclass(frozen=True)
class Experiment:
    """Everything that a training run is. Plain data all the way down: JSON by ``core.plain``.

    model: a linen module ``(inputs, *, train) -> Outputs``. data: the training dataset.
    objectives: by name; the loss is the sum of ``weight * mean`` over them. modality_dropout:
    the probability that training hides a modality of a row (never the row's last one). balance: what
    keeps modalities in balance, as ``Modulation`` and ``Pareto`` do; None for nothing. lora: large kernels
    learn through small ones; None for as they are. quantized: what a step multiplies in eight bits. rollout: what makes
    a step's rows of the data's with the weights as they are, as ``generate.Rollout`` answers prompts; None for rows as
    they are. init_from: the folder of a run whose parameters this one begins with, and what its norms have seen, as far
    as they fit (``train.start``); it tells of each tensor whether it does. init_only: regular expressions, one of which
    has to be found in a parameter's path for that; none: all that fit.
    views: what a step sees in place of the data's rows, made on the devices, as ``views.Several`` makes two of each;
    None for the rows as they are; those of evaluation are its evaluator's.
    """

    model: linen.Module
    data: Any
    objectives: Mapping[str, Any]
    evaluators: Mapping[str, Evaluator] = field(default_factory=dict)
    optim: Optim = Optim()
    run: Run = Run()
    mesh: Mesh = Mesh()
    modality_dropout: float = 0.0
    balance: Any = None
    lora: Lora | None = None
    quantized: Quantized = Quantized()
    rollout: Any = None
    init_from: str = ""
    init_only: tuple[str, ...] = ()
    views: Any = None

    @property
    def answers(self) -> dict[str, str]:
        """The target of the data that each head with an objective answers to, by head."""
        own = self.objectives.values()  # less those whose targets are made by views
        asked = [
            objective for objective in own if hasattr(objective, "target") and not getattr(objective, "made", False)
        ]
        return {objective.head or objective.target: objective.target for objective in asked}

    def untrained(self) -> "Experiment":
        """The same with its weights as they begin, to be measured beside what training makes of them."""
        still = Optim(lr=0.0, warmup=0, schedule=Constant())
        return replace(self, run=Run(steps=1, seed=self.run.seed), optim=still)
