"""The folder of a comparison: its settings, a file for each finished model, and what came out."""

import contextlib
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmjax.compare.plan import Plan
from mmjax.compare.result import Result
from mmjax.core import UserError, plain
from mmjax.train import folder
from mmjax.train.folder import agree, write_json

SETTINGS, MODELS, JSON, HTML = "comparison.json", "models", "compare.json", "compare.html"


class Folder:
    """Files of one comparison; without a path nothing is kept."""

    def __init__(self, path: str | Path | None):
        self.path = None if path is None else Path(path)

    @contextlib.contextmanager
    def held(self, plan: Plan) -> Iterator[None]:
        """Keep others out, and go on where the same comparison was begun. Raises UserError for any other.

        Which fusions are compared may change: a model that is finished stays so.
        """
        if self.path is None:
            yield
            return
        settings = json.loads(json.dumps(_settings(plan)))
        self._looked_at(settings)
        with folder.Folder(self.path).held():
            self._looked_at(settings)
            if not (self.path / SETTINGS).exists():
                write_json(self.path / SETTINGS, settings)
            yield

    def load(self, name: str) -> Result | None:
        """What a model came to, if it is finished."""
        return None if self.path is None else Result.load(self._file(name))

    def save(self, name: str, result: Result) -> None:
        """A model is finished."""
        if self.path is not None:
            result.save(self._file(name))

    def _file(self, name: str) -> Path:
        assert self.path is not None
        return self.path / MODELS / f"{urllib.parse.quote(name, safe=' ')}.npz"

    def _looked_at(self, settings: dict[str, Any]) -> None:
        assert self.path is not None
        file = self.path / SETTINGS
        if not file.is_file():
            begun = {folder.LOCK, f"{SETTINGS}.part"}
            if self.path.exists() and (not self.path.is_dir() or {p.name for p in self.path.iterdir()} - begun):
                raise UserError(
                    f"{self.path} is not empty and not the folder of a comparison; choose another --workdir"
                )
            return
        try:
            old = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise UserError(f"{file} is damaged: {error}") from None
        agree(old, settings, "", self.path)


def _settings(plan: Plan) -> dict[str, Any]:
    """All that the results depend on."""
    return {
        "experiment": plain.to_plain(plan.experiment),
        "seeds": list(plan.seeds),
        "evaluator": plan.evaluator,
        "head": plan.head,
        "rows": {"training": plan.training.examples.fingerprint(), "measured": plan.measured.examples.fingerprint()},
    }
