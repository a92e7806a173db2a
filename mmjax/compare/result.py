"""What one model came to, as one file that is there whole or not at all."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.core import UserError
from mmjax.core.rows import Rows


@dataclass(frozen=True)
class Result:
    """Answers of all seeds to the same rows, and what they cost.

    scores: by subset of the modalities (``audio+image``), logits ``s n k`` of s seeds; the first subset is the one
    that the model is measured by. targets, index: of the n rows that have an answer. facts: JSON-ready figures of
    cost. failed: why there are no scores.
    """

    scores: Mapping[str, np.ndarray]
    targets: np.ndarray
    index: np.ndarray
    facts: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""

    @classmethod
    def failure(cls, reason: str, **facts: Any) -> "Result":
        """A model that cannot be measured."""
        return cls({}, np.zeros(0, np.int32), np.zeros(0, np.int64), facts, reason)

    @property
    def seeds(self) -> int:
        return len(next(iter(self.scores.values())))

    def rows(self, seed: int) -> Rows:
        """The answers of one seed to all it is given."""
        scores = next(iter(self.scores.values()))[seed]
        return Rows(scores, self.targets, np.ones(len(self.targets), bool), self.index)

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        facts = {"subsets": list(self.scores), "facts": dict(self.facts), "failed": self.failed}
        arrays: dict[str, Any] = {"targets": self.targets, "index": self.index, "facts": _letters(facts)}
        arrays |= {f"scores_{i}": scores.astype(np.float32) for i, scores in enumerate(self.scores.values())}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".part")
        temporary.write_bytes(buffer.getvalue())
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> "Result | None":
        """What was saved there; None for nothing. Raises UserError for a damaged file."""
        if not path.is_file():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                told = json.loads(file["facts"].tobytes())
                scores = {name: file[f"scores_{i}"] for i, name in enumerate(told["subsets"])}
                return cls(scores, file["targets"], file["index"], told["facts"], told["failed"])
        except (zipfile.BadZipFile, ValueError, OSError, EOFError, LookupError) as error:
            raise UserError(f"{path} is damaged ({error}); remove it, and the model is trained again") from None


def _letters(data: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(data).encode("utf-8"), np.uint8)
