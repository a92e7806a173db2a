"""The engine room: from an experiment to trained weights, and what they are worth.

The package itself can be called: ``mmjax.train(experiment, workdir=...)`` is ``loop.train``.
"""

import sys
import types
from typing import Any

from mmjax.data.ramp import Ramp
from mmjax.train.balance import Modulation, Pareto
from mmjax.train.experiment import Evaluator, Experiment, Run
from mmjax.train.loop import Result, evaluate, train
from mmjax.train.lora import Lora
from mmjax.train.optim import Adafactor, Adam, AdamW, Constant, Cosine, Linear, Lion, Muon, Optim, Sgd
from mmjax.train.quantized import Quantized
from mmjax.train.sharding import Mesh
from mmjax.train.signals import Interrupted
from mmjax.train.state import TrainState
from mmjax.train.step import make_step

__all__ = [
    "Adafactor",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Evaluator",
    "Experiment",
    "Interrupted",
    "Linear",
    "Lion",
    "Lora",
    "Mesh",
    "Modulation",
    "Muon",
    "Optim",
    "Pareto",
    "Quantized",
    "Ramp",
    "Result",
    "Run",
    "Sgd",
    "TrainState",
    "evaluate",
    "make_step",
    "train",
]


class _Room(types.ModuleType):
    """``mmjax.train`` is both the room and the verb; a module can be both only by its class."""

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        return train(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
