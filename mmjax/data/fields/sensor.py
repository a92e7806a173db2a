"""Logs of sensors: one CSV or NPY file a recording."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data.fields.field import cropped, padded, spread
from mmjax.data.sources import Row, Rows, nearest

_NAMED = 8  # channels; more are counted when the field is described
_LONGEST = 4096  # steps; the longest window that nobody asked for


@dataclasses.dataclass(frozen=True)
class Sensor:
    """A recording ``t c`` in a CSV file, with or without a header, in an NPY file, or as an array.

    ``channels`` names the columns to read, in this order; none are all of those in the first training recording
    (numbered "0", "1", ... where there is no header). A recording without names is taken in order and must have as many
    channels. ``length`` None is the longest training recording, at most 4,096 steps; a longer one keeps
    its centre. ``channels_first`` is for NPY files and arrays that stand the other way, ``c t``. Values are
    standardised by the training rows' mean and deviation of each channel.
    """

    column: str | None = None
    channels: tuple[str, ...] = ()
    length: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels_first: bool = False

    kind: ClassVar[str] = "sensor"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column or "",)

    @property
    def shape(self) -> tuple[int, ...]:
        if self.length is None:
            raise UserError("fields.Sensor has no length yet; fit it on training rows")
        return (self.length, len(self.channels))

    def fit(self, rows: Rows) -> "Sensor":
        rows = rows.distinct(self.column or "")
        first = next(rows.each(self._named), None)
        if first is None:
            raise UserError(f"no training row has a recording in column {self.column!r}")
        names, values = first
        field = dataclasses.replace(self, channels=self.channels or names or _numbered(values.shape[1]))
        count, longest = 0, 0
        sums = np.zeros((2, len(field.channels)))
        for values in rows.each(field._raw):
            count += len(values)
            longest = max(longest, len(values))
            sums += np.stack([values.sum(axis=0, dtype=np.float64), np.square(values, dtype=np.float64).sum(axis=0)])
        facts = [spread(float(total), float(squares), count) for total, squares in sums.T]
        return dataclasses.replace(
            field,
            length=self.length or min(_LONGEST, longest),
            mean=self.mean if self.mean is not None else tuple(mean for mean, _ in facts),
            std=self.std if self.std is not None else tuple(std for _, std in facts),
        )

    def read(self, row: Row) -> np.ndarray | None:
        values = self._raw(row)
        if values is None:
            return None
        return ((values - np.asarray(self.mean)) / np.asarray(self.std)).astype(np.float32)

    def decoded(self, row: Row) -> Any:
        """A cell that ``read`` takes for the row's own without any file; None where it is missing."""
        return self._raw(row)

    def batch(self, examples: Sequence[np.ndarray | None] | np.ndarray) -> Signal:
        return padded(examples, self.shape, np.float32, centre=True)

    def laid(self, example: np.ndarray) -> np.ndarray:
        """What stands in a row that it shares with others: ``units(example)`` along the first axis."""
        return cropped(example, self.shape[0], centre=True)

    def cuts(self, example: np.ndarray) -> bool:
        return len(example) > self.shape[0]

    def units(self, example: np.ndarray) -> int:
        return min(len(example), self.shape[0])

    def describe(self) -> str:
        many = len(self.channels) > _NAMED
        return f"{self.length} steps of {f'{len(self.channels)} channels' if many else ', '.join(self.channels)}"

    def _raw(self, row: Row) -> np.ndarray | None:
        """The chosen channels in order, not yet standardised: ``t c`` float64."""
        found = self._named(row)
        if found is None:
            return None
        names, values = found
        what = _shown(row, self.column)
        if names:
            for channel in self.channels:
                if channel not in names:
                    raise row.bad(f"{what} has no channel {channel!r}{nearest(channel, names)}")
            values = values[:, [names.index(channel) for channel in self.channels]]
        elif values.shape[1] != len(self.channels):
            raise row.bad(f"{what} has {values.shape[1]} channels, not {len(self.channels)}")
        if not np.isfinite(values).all():
            step, channel = (int(k) for k in np.argwhere(~np.isfinite(values))[0])
            raise row.bad(f"{what} holds NaN or infinity (step {step + 1}, channel {self.channels[channel]})")
        return values

    def _turned(self, values: np.ndarray) -> np.ndarray:
        """Time first, whichever way an array stands."""
        return values.T if self.channels_first and values.ndim == 2 else values

    def _named(self, row: Row) -> tuple[tuple[str, ...], np.ndarray] | None:
        """Channel names, empty where the recording has none, and all its values."""
        cell = row.cell(self.column or "")
        if cell is None:
            return None
        names: tuple[str, ...] = ()
        if isinstance(cell, str):
            path = row.path(cell)
            array = path.lower().endswith(".npy")
            names, values = ((), self._turned(_npy(row, cell, path))) if array else _csv(row, cell, path)
        else:
            values = self._turned(np.asarray(cell))
        what = _shown(row, self.column)
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2 or values.dtype.kind not in "iuf":
            raise row.bad(f"{what} wants numbers t c, not {values.dtype} {values.shape}")
        if not values.size:
            raise row.bad(f"{what} holds no steps")
        return names, values.astype(np.float64)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(count))


def _shown(row: Row, column: str | None) -> str:
    cell = row.cell(column or "")
    return cell if isinstance(cell, str) else f"the recording in {column}"


def _npy(row: Row, cell: str, path: str) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise row.bad(f"{cell} is not a readable NPY file of numbers ({error})") from None


def _csv(row: Row, cell: str, path: str) -> tuple[tuple[str, ...], np.ndarray]:
    """A first line with anything but numbers is the header."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            first = file.readline()
    except UnicodeDecodeError:
        raise row.bad(f"{cell} is not UTF-8") from None
    delimiter = next((mark for mark in ("\t", ";", ",") if mark in first), ",")
    heads = tuple(head.strip().strip('"') for head in first.split(delimiter))
    names: tuple[str, ...] = () if all(_is_number(head) for head in heads) else heads
    if "" in names:  # or a first line of numbers that lacks one, which is no header to be skipped
        raise row.bad(f"{cell} has nothing in column {names.index('') + 1} of its first line")
    if len(set(names)) < len(names):
        raise row.bad(f"{cell} names a channel twice")
    try:
        values = _loaded(path, delimiter, skip=1 if names else 0)
    except (ValueError, UnicodeDecodeError) as error:
        raise row.bad(f"{cell} is not a table of numbers ({error})") from None
    if names and values.size and values.shape[1] != len(names):
        raise row.bad(f"{cell} names {len(names)} channels but has {values.shape[1]} columns")
    return names, values


def _loaded(path: str, delimiter: str, skip: int) -> np.ndarray:
    """numpy warns of a file without rows; here that is an empty array, and the caller's complaint."""
    with open(path, encoding="utf-8-sig") as file:
        lines: list[Any] = [line for line in file.read().splitlines()[skip:] if line.strip()]
    if not lines:
        return np.zeros((0, 0))
    return np.loadtxt(lines, delimiter=delimiter, comments=None, ndmin=2, dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
