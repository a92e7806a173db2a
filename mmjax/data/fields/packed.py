"""Fields of rows that several examples share."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.sources import Row

Example = np.ndarray | None


@dataclasses.dataclass(frozen=True)
class _Around:
    """``field``, but for what a subclass says otherwise."""

    field: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "field":
            raise AttributeError(name)
        return getattr(self.field, name)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.field.columns

    def read(self, row: Row) -> Example:
        return self.field.read(row)


@dataclasses.dataclass(frozen=True)
class Packed(_Around):
    """A modality of which a row holds ``length`` units: the examples of a row beside each other, in segments 1, 2, ...

    Each begins at a multiple of ``align`` units. A row is given as a list of examples; an example that is given
    alone has a row of its own, as long as ``field`` says. Positions count from 0 in each segment. For all
    else it is ``field``.
    """

    length: int
    align: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.field.shape

    def batch(self, examples: Sequence[Any] | np.ndarray) -> Signal:
        if isinstance(examples, np.ndarray) or not any(isinstance(row, list) for row in examples):
            return self._alone(self.field.batch(examples))
        return self._rows([row or [] for row in examples])

    def blank(self, rows: int) -> Signal:
        """Rows without any example, in the shapes of packed ones."""
        return self._rows([[]] * rows)

    def _alone(self, signal: Signal) -> Signal:
        positions = signal.positions
        if positions is None:
            positions = np.broadcast_to(np.arange(signal.mask.shape[1], dtype=np.int32), signal.mask.shape)
        positions = np.where(_wide(signal.mask, positions), positions, 0).astype(np.int32)
        return signal.replace(segments=signal.mask.astype(np.int32), positions=positions)

    def _rows(self, rows: Sequence[Sequence[Example]]) -> Signal:
        """All rows at once: where each unit goes is worked out for the whole batch."""
        kind = self.field.batch([None])
        places = getattr(self.field, "places", None)
        shape = (len(rows), self.length)
        mask, segments = np.zeros(shape, bool), np.zeros(shape, np.int32)
        positions = np.zeros((*shape, *(() if places is None else (2,))), np.int32)
        held, starts, numbers, at = [], [], [], []
        for i, row in enumerate(rows):
            start = 0
            for number, example in enumerate(row, start=1):
                if example is None:
                    continue
                laid = self.field.laid(example)
                if start + len(laid) > self.length:
                    raise UserError(
                        f"{', '.join(self.columns)} of a packed row is longer than {self.length}: a transform made it "
                        "longer than it was packed; leave that transform out"
                    )
                held.append(laid)
                starts.append(i * self.length + start)
                numbers.append(number)
                at.append(np.arange(len(laid)) if places is None else places(example))
                start += -(-len(laid) // self.align) * self.align
        dtype = np.result_type(kind.values.dtype, *{laid.dtype for laid in held})
        values = np.zeros((*shape, *kind.values.shape[2:]), dtype)
        if held:
            lengths = np.array([len(laid) for laid in held])
            where = np.concatenate([np.arange(start, start + n) for start, n in zip(starts, lengths, strict=True)])
            values.reshape(-1, *values.shape[2:])[where] = np.concatenate(held)
            mask.reshape(-1)[where] = True
            segments.reshape(-1)[where] = np.repeat(numbers, lengths)
            positions.reshape(-1, *positions.shape[2:])[where] = np.concatenate(at)
        return Signal(values, mask, segments, positions)


@dataclasses.dataclass(frozen=True)
class Several(_Around):
    """A target of which a row has one for each of up to ``most`` examples; for all else it is ``field``.

    An example that is given alone has its answer alone.
    """

    most: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.most, *self.field.shape)

    def batch(self, examples: Sequence[Any] | np.ndarray) -> Signal:
        if isinstance(examples, np.ndarray) or not any(isinstance(row, list) for row in examples):
            return self.field.batch(examples)
        flat = [example for row in examples for example in [*(row or []), *[None] * (self.most - len(row or []))]]
        signal = self.field.batch(flat)
        shape = (len(examples), self.most)
        return Signal(*(part.reshape(*shape, *part.shape[1:]) for part in (signal.values, signal.mask)))

    def blank(self, rows: int) -> Signal:
        """Rows without any answer, in the shapes of packed ones."""
        return self.batch([[]] * rows)


def _wide(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    return mask.reshape(*mask.shape, *(1,) * (values.ndim - mask.ndim))
