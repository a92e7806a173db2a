"""A table of rows, whatever it was written in."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mmjax.data.sources.row import Row


@dataclasses.dataclass(frozen=True)
class Source:
    """Named columns and rows in order. ``name`` is what people are told; rows may be made when asked for."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Row]


@dataclasses.dataclass(frozen=True)
class Lazy(Sequence[Row]):
    """``length`` rows, each made by ``cells(i)`` when asked for, so that nothing is held twice."""

    name: str
    length: int
    cells: Callable[[int], Mapping[str, Any]]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(self.length))]
        if not -self.length <= i < self.length:
            raise IndexError(i)
        i = i % self.length
        return Row(self.cells(i), self.name, i + 1)

    def __iter__(self) -> Iterator[Row]:
        return (self[i] for i in range(self.length))
