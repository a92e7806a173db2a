"""A run folder: self-contained, so that evaluating and predicting need nothing else."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from mmjax.core import UserError, plain
from mmjax.train import checkpoint, sharding, state, viewed
from mmjax.train.experiment import Experiment

CONFIG, SCHEMA, CHECKPOINTS, REJECTS = "config.json", "schema.json", "checkpoints", "rejects.jsonl"
LOCK = ".lock"
# What may differ when a run goes on: how long and how often, and on which devices.
_FREE = ("run", "mesh", "evaluators")


@dataclass(frozen=True)
class Folder:
    """Files of one run. allow: classes outside mmjax that its experiment may be made of."""

    path: Path
    allow: tuple[type, ...] = ()

    def exists(self) -> bool:
        """Whether a run lives here. Raises UserError where something else does."""
        if (self.path / CONFIG).is_file():
            return True
        begun = {LOCK, SCHEMA, f"{SCHEMA}.part", f"{CONFIG}.part"}  # all that a run leaves that was killed as it began
        if self.path.exists() and (not self.path.is_dir() or {path.name for path in self.path.iterdir()} - begun):
            raise UserError(f"{self.path} is not empty and not a run folder; choose another --workdir")
        return False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and keep other runs out until the context or the process ends, however it ends.

        The file stays, empty: to remove it would let in two runs that wait for different ones. Raises UserError
        where another run holds the folder, or it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / LOCK).open("a")
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be made a run folder: {error.strerror}; choose another --workdir"
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another run is at work in {self.path}; wait for it or choose another --workdir"
                ) from None
            except OSError:
                pass  # a file system without locks, where nobody can be kept out
            yield

    def create(self, experiment: Experiment, schema: Any) -> None:
        """Write what the run is, before its first step, once the folder is held. UserError where it cannot be."""
        if self.exists():
            raise UserError(f"another run began in {self.path} meanwhile; choose another --workdir")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / SCHEMA, plain.to_plain(schema))
            self.update(experiment)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be made a run folder: {error.strerror}; choose another --workdir"
            ) from None

    def update(self, experiment: Experiment) -> None:
        """Write what the run is now: some of it may change when it goes on."""
        write_json(self.path / CONFIG, plain.to_plain(experiment))

    def write_rejects(self, rejects: list[dict[str, Any]]) -> None:
        """Name every row that was left out, and why."""
        lines = [json.dumps(reject, ensure_ascii=False) + "\n" for reject in rejects]
        (self.path / REJECTS).write_text("".join(lines), encoding="utf-8")

    def experiment(self) -> Experiment:
        """The experiment as it was run."""
        return self._value(CONFIG, Experiment)

    def schema(self) -> Any:
        """What the training data taught: label names, vocabularies, scales."""
        from mmjax.data.schema import Schema

        return self._value(SCHEMA, Schema)

    def step(self) -> int:
        """The last step that is saved, 0 for none; only looks, and so may look before the folder is there."""
        return checkpoint.latest(self.path / CHECKPOINTS)

    def weights(self, mesh: jax.sharding.Mesh | None = None) -> dict[str, Any]:
        """Variables for ``model.apply`` at the last saved step, whole on each device of ``mesh`` (None: on one)."""
        experiment = self.experiment()
        directory = self.path / CHECKPOINTS
        if not directory.is_dir():
            raise UserError(f"{self.path} has no checkpoint yet; train it first")
        mesh = mesh or sharding.single()
        shapes = self._shapes(experiment)
        places = jax.tree.map(lambda _: sharding.replicated(mesh), shapes)
        with checkpoint.opened(directory) as checkpoints:
            if checkpoints.latest() is None:
                raise UserError(f"{self.path} has no checkpoint yet; train it first")
            restored, _ = checkpoints.restore(checkpoint.abstract(shapes, places))
        return state.weights(restored, experiment.lora)

    def shapes(self) -> Any:
        """Shapes of what ``weights`` gives. Raises UserError where nothing was trained."""
        experiment = self.experiment()
        if not self.step():
            raise UserError(f"{self.path} has no checkpoint yet; train it first")
        shapes = self._shapes(experiment)
        return jax.eval_shape(lambda tree: state.weights(tree, experiment.lora), shapes)

    def matches(self, experiment: Experiment) -> None:
        """Raises UserError where ``experiment`` is not the one that was begun here, or ends before what is done.

        What an option does that there was not when the run began, it did not do: that is its default.
        """
        old = plain.completed(self._read(CONFIG), allow=self.allow)
        old, new = (json.loads(json.dumps(part)) for part in (old, plain.to_plain(experiment)))
        for name in sorted(old.keys() | new.keys()):
            if name not in _FREE:
                agree(old.get(name), new.get(name), name, self.path)
        for name in ("seed", "ramp"):  # they say which rows a step sees
            agree(old["run"].get(name), new["run"][name], f"run.{name}", self.path)
        done = self.step()
        if done > experiment.run.steps:
            raise UserError(
                f"{self.path} has done {done} steps already, and run.steps={experiment.run.steps}; "
                f"set it to {done} or more, or choose another --workdir"
            )

    def _shapes(self, experiment: Experiment) -> Any:
        example = viewed.seen(experiment.views, experiment.model, self.schema().example(batch=1))
        optimizer = experiment.optim.build(experiment.run.steps)
        init = state.make_init(experiment.model, optimizer, example, experiment.lora)
        return jax.eval_shape(init, jax.random.key(0))

    def _value(self, name: str, kind: type) -> Any:
        try:
            value = plain.from_plain(self._read(name), allow=self.allow)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise UserError(f"{self.path / name} is damaged: {error}") from error
        if not isinstance(value, kind):
            raise UserError(f"{self.path / name} is damaged: it holds no {kind.__name__}")
        return value

    def _read(self, name: str) -> Any:
        path = self.path / name
        if not path.is_file():
            lacks = f"is not a run folder: it has no {name}" if self.path.exists() else "does not exist"
            raise UserError(f"{self.path} {lacks}")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is damaged: {error}") from error
        if not isinstance(data, dict):
            raise UserError(f"{path} is damaged: it holds no object")
        return data


def opened(name: str, *, allow: tuple[type, ...] = ()) -> Folder:
    """The folder of this name."""
    return Folder(Path(name), allow)


def there(name: str, *, of: str) -> Folder:
    """The folder of this name, which the field ``of`` has. Raises UserError where there is none."""
    if not Path(name).exists():
        raise UserError(f"{of}: {name} does not exist; train the run that leaves it first, or name another")
    return opened(name)


def write_json(path: Path, data: Any) -> None:
    """Write strict JSON so that the file is either the old one or the new one, never half of one."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def agree(old: Any, new: Any, where: str, path: Path) -> None:
    """Raises UserError for the first difference between what was begun in ``path`` and what is wanted now."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            agree(old.get(key), new.get(key), f"{where}.{key}" if where else key, path)
    elif old != new:
        raise UserError(f"{path} was begun with {where}={old!r}, now {new!r}; choose another --workdir")
