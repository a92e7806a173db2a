"""Which kind of field a column is, where nobody said so.

Conservative: a column is taken for what nearly all of its cells say, and where that could be one thing or another,
the user is asked to declare it. The rules, in order:

* no cell filled, or all cells the same: left out;
* every cell names a file: image, audio, video or sensor by its extension; only some do: an error;
* arrays: uint8 ``h w`` or ``h w c`` an image, uint8 ``t h w c`` a video, floats ``t c`` a sensor, others an error;
* encoded bytes: image, audio or video by their first bytes;
* 95 % or more are numbers: a number of the table (the rest are bad rows); but whole numbers that only count
  the rows up: left out;
* few values, each twice or more on average, at most 50 of them and none longer than 40 characters: a category
  of the table;
* otherwise text; but one word with a digit in it, different in every row, is an identifier: left out.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.core import UserError
from mmjax.data.fields import Audio, Class, Classes, Image, Number, Sensor, Table, Text, Video
from mmjax.data.fields.field import Field
from mmjax.data.sources import Source, spelled

_EXTENSIONS = {
    "image": ("png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm"),
    "audio": ("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "au"),
    "video": ("mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "flv"),
    "sensor": ("csv", "tsv", "npy"),
}
_FIELDS = {"image": Image, "audio": Audio, "video": Video, "sensor": Sensor, "text": Text}
_NUMERIC = 0.95  # share of cells
_CATEGORIES, _CATEGORY_LENGTH = 50, 40
_CLASSES = 20  # whole numbers with more distinct values than this are measured, not named


def inputs(source: Source, taken: set[str]) -> tuple[dict[str, Field], dict[str, str]]:
    """Fields for all columns but those ``taken``, and the reason for each column left out."""
    found: dict[str, Field] = {}
    left_out: dict[str, str] = {}
    numbers, categories = [], []
    for column in source.columns:
        if column in taken:
            continue
        kind = _kind(source, column)
        if kind == "number":
            numbers.append(column)
        elif kind == "category":
            categories.append(column)
        elif kind in ("image", "audio", "video", "sensor", "text"):
            found[column] = _FIELDS[kind](column)
        else:
            left_out[column] = kind
    if numbers or categories:
        if "table" in found:
            raise UserError(f"{source.name}: column 'table' would have the name of the modality of numbers; rename it")
        found["table"] = Table(numbers=tuple(numbers), categories=tuple(categories))
    if not found:
        reasons = ", ".join(f"{column} ({reason})" for column, reason in left_out.items())
        raise UserError(f"{source.name} has no column to learn from: {reasons or 'there is none'}; declare inputs")
    return found, left_out


def target(source: Source, column: str) -> Field:
    """Class, Classes (lists, or labels parted by ";" that recur) or Number (fractions, or many whole numbers)."""
    cells = _filled(source, column)
    if not cells:
        raise UserError(f"{source.name}: column {column!r} has no label in any row")
    if any(isinstance(cell, list | tuple | np.ndarray) for cell in cells):
        return Classes(column)
    if all(_is_number(cell) and not isinstance(cell, bool) for cell in cells):
        values = {float(cell) for cell in cells}
        whole = all(value.is_integer() for value in values if math.isfinite(value))
        return Class(column) if whole and len(values) <= _CLASSES else Number(column)
    names = {spelled(cell) for cell in cells}
    parted = [name for name in names if ";" in name]
    parts = {part.strip() for name in names for part in name.split(";")}
    if parted and len(parts) < len(names):
        return Classes(column)
    if len(names) > max(_CLASSES, len(cells) // 2):
        raise UserError(
            f"{source.name}: label {column!r} has {len(names):,} values in {len(cells):,} rows; "
            "name another column or declare targets"
        )
    return Class(column)


def _kind(source: Source, column: str) -> str:
    """image, audio, video, sensor, text, number, category, or the reason for leaving the column out."""
    cells = _filled(source, column)
    if not cells:
        return "empty in every row"
    if all(isinstance(cell, bytes) for cell in cells):
        return _encoded_kind(cells[0])
    if all(isinstance(cell, np.ndarray) for cell in cells):
        return _array_kind(source, column, cells[0])
    if any(isinstance(cell, list | tuple | dict | bytes | np.ndarray) for cell in cells):
        raise UserError(f"{source.name}: column {column!r} holds lists or objects; declare inputs without it")
    file = _file_kind(source, column, cells)
    if file:
        return file
    if len({spelled(cell) for cell in cells}) == 1 and len(cells) == len(source.rows) > 1:
        return f"always {spelled(cells[0])[:_CATEGORY_LENGTH]!r}"
    return _table_kind(cells)


def _encoded_kind(start: bytes) -> str:
    """By the marks that files begin with; an MP4 says what it is in its "brand"."""
    if start[:4] == b"RIFF":
        return {b"AVI ": "video", b"WEBP": "image"}.get(start[8:12], "audio")
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        return "image" if brand in (b"avif", b"avis", b"heic", b"mif1") else "audio" if brand == b"M4A " else "video"
    if start[:4] == b"\x1aE\xdf\xa3":  # matroska and webm
        return "video"
    return "audio" if start[:4] in (b"fLaC", b"OggS", b"ID3\x03", b"ID3\x04") else "image"


def _array_kind(source: Source, column: str, first: np.ndarray) -> str:
    if first.dtype == np.uint8 and (first.ndim == 2 or (first.ndim == 3 and first.shape[-1] in (1, 3))):
        return "image"
    if first.dtype == np.uint8 and first.ndim == 4 and first.shape[-1] in (1, 3):
        return "video"
    if first.dtype.kind == "f" and first.ndim == 2:
        return "sensor"
    raise UserError(
        f"{source.name}: column {column!r} holds arrays {first.dtype} {first.shape}, which may be anything; "
        "declare inputs"
    )


def _table_kind(cells: Sequence[Any]) -> str:
    names = [spelled(cell) for cell in cells]
    distinct = set(names)
    numeric = [cell for cell in cells if _is_number(cell) and not isinstance(cell, bool)]
    if len(numeric) >= _NUMERIC * len(cells):
        values = [float(cell) for cell in numeric]
        counting = all(b - a == 1 for a, b in itertools.pairwise(values))
        return "counts the rows" if counting and len(values) > 2 else "number"
    if len(distinct) * 2 <= len(names) and len(distinct) <= _CATEGORIES and max(map(len, distinct)) <= _CATEGORY_LENGTH:
        return "category"
    if len(distinct) == len(names) > 2 and not any(" " in name for name in names):
        marked = sum(any(character.isdigit() for character in name) for name in names)
        if marked == len(names):
            return "an identifier, different in every row"
    return "text"


def _file_kind(source: Source, column: str, cells: Sequence[Any]) -> str:
    kinds = [_extension_kind(cell) for cell in cells]
    found = {kind for kind in kinds if kind}
    if not found:
        return ""
    if len(found) > 1 or "" in kinds:
        if kinds.count("") > len(kinds) / 2:
            return ""  # a text that happens to end like a file's name
        odd = next((cell for cell, kind in zip(cells, kinds, strict=True) if kind != kinds[0]), cells[0])
        raise UserError(
            f"{source.name}: column {column!r} holds {kinds[0] or 'other'} files and other things "
            f"({spelled(odd)[:40]!r}); declare it, or leave the cell empty where there is no file"
        )
    return found.pop()


def _extension_kind(cell: Any) -> str:
    if not isinstance(cell, str) or "\n" in cell or "." not in cell:
        return ""
    extension = cell.strip().rpartition(".")[2].lower()
    return next((kind for kind, known in _EXTENSIONS.items() if extension in known), "")


def _filled(source: Source, column: str) -> list[Any]:
    cells = (row.cell(column) for row in source.rows)
    return [cell for cell in cells if cell is not None]


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return not isinstance(cell, str) or "_" not in cell  # Python reads 1_000 as a number; people do not
