"""JSON lines: one object a row; a key that a row leaves out is an empty cell."""

import json
import re
from pathlib import Path
from typing import Any

from mmjax.data.sources.row import Row
from mmjax.data.sources.source import Source

_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")  # half of a character beyond the first 65,536; alone it is no text


def read(path: Path, name: str) -> Source:
    """The rows of a JSONL file. A line that is no object becomes a row with a fault; blank lines are skipped."""
    folder = str(path.parent)
    rows: list[Row] = []
    columns: dict[str, None] = {}
    with path.open(encoding="utf-8-sig", errors="strict") as file:
        for line in file:
            if not line.strip():
                continue
            cells, fault = _object(line)
            rows.append(Row(cells, name, len(rows) + 1, folder, fault))
            columns.update(dict.fromkeys(cells))
    return Source(name, tuple(columns), rows)


def _object(line: str) -> tuple[dict[str, Any], str]:
    try:
        value = json.loads(line, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        return {}, f"is not valid JSON ({error.msg} at character {error.pos + 1})"
    except (ValueError, RecursionError) as error:
        return {}, str(error)
    if not isinstance(value, dict):
        return {}, "is valid JSON but no object"
    for key, item in value.items() if _ESCAPED.search(line) else ():
        try:
            json.dumps({key: item}, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            return {}, f"{ascii(key)[1:-1]} holds half a character (a lone surrogate)"
    return value, ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"names {next(key for key in names if names.count(key) > 1)!r} twice")
    return found
