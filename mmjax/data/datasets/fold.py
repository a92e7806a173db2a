"""One side of a split of the rows, for cross-validation where there is no second manifest."""

import dataclasses

import numpy as np

from mmjax.core import UserError
from mmjax.data.sources import Source, nearest, spelled


@dataclasses.dataclass(frozen=True)
class Fold:
    """Part ``index`` of ``count`` equal parts, or, unless ``held_out``, all the others.

    ``evenly`` names a column of which every part gets its share (a label); ``by`` one whose equal cells stay
    together (a speaker, a patient). Without either, rows are dealt at random. The same for the same ``seed``.
    """

    count: int = 5
    index: int = 0
    held_out: bool = False
    evenly: str = ""
    by: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count or self.count < 2:
            raise UserError(f"Fold: index {self.index} is not below count {self.count}, or count is below 2")
        if self.evenly and self.by:
            raise UserError("Fold: give evenly or by, not both")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the split goes by."""
        return tuple(filter(None, (self.evenly, self.by)))

    def of(self, source: Source) -> Source:
        """The rows on this side, in order."""
        for column in self.columns:
            if column not in source.columns:
                raise UserError(f"{source.name} has no column {column!r}{nearest(column, source.columns)}")
        parts = self._parts(source)
        rows = [row for row, part in zip(source.rows, parts, strict=True) if (part == self.index) == self.held_out]
        if not rows:
            raise UserError(f"{source.name}: fold {self.index} of {self.count} leaves no rows")
        return Source(source.name, source.columns, rows)

    def _parts(self, source: Source) -> np.ndarray:
        """The part that each row belongs to."""
        order = np.random.default_rng(self.seed).permutation(len(source.rows))
        if self.by:
            cells = [spelled(row.cell(self.by)) for row in source.rows]
            dealt = {cell: i for i, cell in enumerate(dict.fromkeys(cells[i] for i in order))}
            return np.array([dealt[cell] % self.count for cell in cells])
        if self.evenly:
            cells = [spelled(row.cell(self.evenly)) for row in source.rows]
            order = np.array(sorted(order, key=lambda i: cells[i]))  # a stable sort: random within each cell
        parts = np.zeros(len(order), int)
        parts[order] = np.arange(len(order)) % self.count
        return parts
