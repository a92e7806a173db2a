"""What is written beside the records: what they are, how far they got, and what every row weighs."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from mmjax.core import UserError, plain
from mmjax.data.records.address import Folder
from mmjax.data.schema import Schema

PLAN, INDEX = "plan.json", "index.json"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be packed: written first and never changed, so that a pack that was killed can go on.

    form: "decoded" or "files". rows: of the manifest. each: rows of it that go into one shard. digest: tells whether
    the manifest is still the same.
    """

    source: str
    form: str
    rows: int
    each: int
    digest: str
    columns: tuple[str, ...]
    schema: Schema

    @property
    def shards(self) -> int:
        return -(-self.rows // self.each)


@dataclasses.dataclass(frozen=True)
class Part:
    """One finished shard. numbers: of its rows in the manifest, from 1; lengths: of each modality that has any."""

    numbers: tuple[int, ...]
    rejects: tuple[Mapping[str, Any], ...]
    lengths: Mapping[str, tuple[int, ...]]


def shard(number: int) -> str:
    """The name of a shard's records."""
    return f"part-{number:05}.array_record"


def part(number: int) -> str:
    """The name of what is told of a shard."""
    return f"part-{number:05}.json"


def write(folder: Folder, name: str, value: Plan | Part) -> None:
    """Keep a plan or a part."""
    record = {"version": _VERSION, "value": plain.to_plain(value)}
    folder.write(name, json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def read(folder: Folder, name: str, kind: type) -> Any:
    """A plan or a part. UserError where it is none."""
    try:
        record = json.loads(folder.text(name))
        if record["version"] != _VERSION:
            raise UserError(f"{folder.address}/{name} is of version {record['version']}; pack the manifest anew")
        value = plain.from_plain(record["value"])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise UserError(f"{folder.address}/{name} is damaged: {error}") from None
    if not isinstance(value, kind):
        raise UserError(f"{folder.address}/{name} is damaged: it holds no {kind.__name__}")
    return value
