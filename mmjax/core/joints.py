"""The joints where parts meet: one-method protocols that nobody inherits from."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from mmjax.core.types import Batch, Mean, Outputs, Signal, Tokens


class Encoder(Protocol):
    """One modality's signal to tokens."""

    def __call__(self, signal: Signal, *, train: bool) -> Tokens: ...


class Fusion(Protocol):
    """Streams of tokens, any subset of those known at initialisation, to one."""

    def __call__(self, streams: Mapping[str, Tokens], *, train: bool) -> Tokens: ...


class Head(Protocol):
    """Fused tokens to an answer."""

    def __call__(self, tokens: Tokens, *, train: bool) -> Any: ...


class Model(Protocol):
    """All that the training room knows of a network."""

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool) -> Outputs: ...


class Objective(Protocol):
    """What training makes small."""

    def __call__(self, outputs: Outputs, batch: Batch) -> Mean: ...


class View(Protocol):
    """What a training step sees in place of a batch; ``said`` is what the averaged weights say of inputs."""

    def __call__(self, batch: Batch, *, said: Callable[[Mapping[str, Signal]], Outputs], key: Any) -> Batch: ...


class Metric(Protocol):
    """What evaluation gathers from a batch, to be concatenated over batches."""

    def __call__(self, outputs: Outputs, batch: Batch) -> Any: ...


class Transform(Protocol):
    """One example to another, on the host, in numpy; None stands for an absent modality."""

    def __call__(
        self, example: dict[str, np.ndarray | None], rng: np.random.Generator
    ) -> dict[str, np.ndarray | None]: ...
