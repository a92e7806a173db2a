"""One row of somebody's data: its cells, and where it stands, so that every complaint can name it."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from mmjax.core import UserError

T = TypeVar("T")


class BadRow(UserError):
    """A row that cannot be used; ``reason`` is the complaint without the row's name."""

    def __init__(self, row: "Row", reason: str):
        self.row = row
        self.reason = " ".join(reason.split())
        super().__init__(f"{row}: {self.reason}")


def fatal(bad: BadRow) -> UserError:
    """What is raised where bad rows stop the run: the same line with the ways out."""
    return UserError(f'{bad}; mend it or use on_bad_row="quarantine"')


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Cells by column, the name of the source, and the row's number in it, counted from 1 without a header.

    ``folder`` is what the row's paths are relative to and must stay within; None leaves paths as
    the user gave them. ``fault`` says why the row could not even be split into cells.
    """

    cells: Mapping[str, Any]
    source: str
    number: int
    folder: str | None = None
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.source} row {self.number}"

    def bad(self, reason: str) -> BadRow:
        return BadRow(self, reason)

    def cell(self, column: str) -> Any:
        """The cell, or None where it is empty, null or in no such column."""
        value = self.cells.get(column)
        if isinstance(value, str) and not value.strip():
            return None
        return value

    def path(self, cell: str) -> str:
        """The file that ``cell`` names; BadRow where it is no readable file of this manifest."""
        if self.folder is None:
            found = cell
        else:
            _confine(self, cell)
            found = os.path.join(self.folder, cell)
        if not os.path.isfile(found):
            raise self.bad(f"{cell} {'is a folder' if os.path.isdir(found) else 'does not exist'}")
        if os.path.getsize(found) == 0:
            raise self.bad(f"{cell} is empty")
        if not os.access(found, os.R_OK):
            raise self.bad(f"{cell} may not be read; mend its permissions")
        return found


def _confine(row: Row, cell: str) -> None:
    """Refuse a path that leads out of the manifest's folder, by name or by symbolic link."""
    if "\0" in cell:
        raise row.bad(f"{cell!r} is no file name")
    home = os.path.abspath(row.folder or "")  # what is remembered must not depend on the current folder
    folder, path = _real(home), os.path.join(home, cell)
    real = os.path.realpath(path) if os.path.islink(path) else os.path.join(_real(os.path.dirname(path)), "x")
    if os.path.isabs(cell) or os.path.commonpath([folder, real]) != folder:
        raise row.bad(f"{cell} leaves the manifest's folder; put the file inside and name it relative to the manifest")


@functools.lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows that a field may learn from, with what is to happen to a bad one: "stop" or "quarantine"."""

    rows: Sequence[Row]
    on_bad_row: str = "stop"

    def __post_init__(self) -> None:
        if self.on_bad_row not in ("stop", "quarantine"):
            raise UserError(f"on_bad_row is {self.on_bad_row!r}; it can be 'stop' or 'quarantine'")

    def whole(self) -> "Rows":
        """The rows that could be split into cells at all; "stop" raises for the first that could not."""
        kept = []
        for row in self.rows:
            if not row.fault:
                kept.append(row)
            elif self.on_bad_row == "stop":
                raise fatal(row.bad(row.fault))
        return Rows(kept, self.on_bad_row)

    def each(self, read: Callable[[Row], T | None], *, limit: int | None = None) -> Iterator[T]:
        """``read(row)`` for every good row that has something; at most ``limit`` rows, evenly spaced."""
        chosen = range(len(self.rows))
        if limit is not None and len(self.rows) > limit:
            chosen = np.linspace(0, len(self.rows) - 1, limit).astype(int)
        for i in chosen:
            row = self.rows[int(i)]
            try:
                value = read(row)
            except BadRow as bad:
                if self.on_bad_row == "stop":
                    raise fatal(bad) from None
                continue
            if value is not None:
                yield value

    def distinct(self, column: str) -> "Rows":
        """One row for each distinct cell of ``column``: a file named many times is read once."""
        seen, kept = set(), []
        for row in self.rows:
            cell = row.cells.get(column)
            if isinstance(cell, str):
                if cell in seen:
                    continue
                seen.add(cell)
            kept.append(row)
        return Rows(kept, self.on_bad_row)
