"""Examples that a stream puts together in a way of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.data.examples import Examples
from mmjax.data.joined import Joined
from mmjax.data.schema import Schema


class Arranged(Sequence[dict[str, dict[str, np.ndarray | None]]]):
    """``examples``, but for what a subclass says otherwise: their order in a stream, and how they become a batch."""

    def __init__(self, examples: Examples | Joined, schema: Schema):
        self.schema, self._examples = schema, examples

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_examples":  # asked for before there are any, as on the way to a worker
            raise AttributeError(name)
        return getattr(self._examples, name)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, i: Any) -> Any:
        return self._examples[i]
