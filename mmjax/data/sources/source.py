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
    """``length`` rows, each made by ``cells(i)`` when asked for, so that nothing is held twice.

    many: makes several at once, where that is quicker. digest: tells these rows from others of the same number.
    """

    name: str
    length: int
    cells: Callable[[int], Mapping[str, Any]]
    many: Callable[[Sequence[int]], Sequence[Mapping[str, Any]]] | None = None
    digest: str = ""

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

    def taken(self, numbers: Sequence[int]) -> list[Row]:
        """These rows, made together."""
        made = self.many(numbers) if self.many else [self.cells(i) for i in numbers]
        return [Row(cells, self.name, i + 1) for i, cells in zip(numbers, made, strict=True)]


def taken(rows: Sequence[Row], numbers: Sequence[int]) -> list[Row]:
    """These of the rows, each of them made once."""
    return rows.taken(numbers) if isinstance(rows, Lazy) else [rows[i] for i in numbers]
