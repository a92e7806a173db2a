"""The loop: the one place where a run meets clocks, files and signals.

The order is a contract. A step's batch is taken, the step is run, and only then does the position
in the data count as moved; a save holds state, key and position of one and the same step, and is
begun only after every loss up to it was seen to be finite. So a saved state is never poisoned, and
a run that was killed goes on as if it had not been.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax import flops
from mmjax.core import UserError
from mmjax.data import pipeline
from mmjax.data.ramp import Growth
from mmjax.train import checkpoint, cluster, compiled, place, sharding, state, viewed
from mmjax.train.experiment import Experiment
from mmjax.train.folder import CHECKPOINTS, Folder, opened
from mmjax.train.ledger import Ledger
from mmjax.train.log import Log
from mmjax.train.prepare import Prepared, parts, prepare
from mmjax.train.profile import PROFILE, Profile
from mmjax.train.rolled import Rolled
from mmjax.train.signals import Interrupted, Wish
from mmjax.train.summary import introduction, summarise


@dataclass(frozen=True)
class Result:
    """What a run came to. weights: variables for ``model.apply``."""

    workdir: str | None
    step: int
    seconds: float
    evaluations: dict[str, Any]
    weights: Any = field(repr=False)
    schema: Any = field(repr=False)


def train(experiment: Experiment, *, workdir: str | Path | None = None, quiet: bool = False,
          profile: tuple[int, int] | None = None) -> Result:  # fmt: skip
    """Train, evaluate and report; go on where ``workdir`` holds a checkpoint of the same experiment.

    profile: the first and the last of the steps that jax's profiler records into ``workdir/profile``. Without
    ``workdir`` nothing is written. Raises UserError for input that can't be used (nothing is written then),
    FloatingPointError where the loss stops being finite, and Interrupted when asked to stop (after saving).
    """
    begun = time.monotonic()
    folder = Folder(Path(workdir)) if workdir is not None else None
    recorder = Profile(profile, folder and folder.path / PROFILE)
    recorder.check(folder.step() if folder is not None else 0, experiment.run.steps)
    with cluster.together(), contextlib.ExitStack() as held, Ledger() as ledger:
        prepared = _begin(experiment, folder, held)
        with Wish() as wish, jax.set_mesh(prepared.mesh), contextlib.closing(recorder):
            loop = _Loop(prepared, folder, wish, ledger, recorder, quiet=quiet)
            final, evaluations = loop.run()
        _write_rejects(prepared, folder)  # again: rows that are read when asked for turn out bad only then
        seconds = time.monotonic() - begun
        step, weights = int(final.step), state.weights(final, experiment.lora)
        report = {"workdir": workdir and str(workdir), "step": step, "seconds": round(seconds, 2)}
        report["evaluations"] = evaluations
        with ledger.spent("evaluate"):
            summarise(prepared, folder, report, weights=weights, ledger=ledger, quiet=quiet)
    return Result(report["workdir"], step, seconds, evaluations, weights, prepared.schema)


def _begin(experiment: Experiment, folder: Folder | None, held: contextlib.ExitStack) -> Prepared:
    """Everything that can fail on what the user gave; then the folder, which ``held`` keeps from other runs."""
    first = jax.process_index() == 0
    resumes = folder is not None and folder.exists()
    if folder is not None and resumes:
        if first:
            held.enter_context(folder.held())
        folder.matches(experiment)
    prepared = prepare(experiment, schema=folder.schema() if folder is not None and resumes else None)
    place.meet("prepared")  # every process has looked at the folder before one of them makes it
    if folder is not None and first and resumes:
        folder.update(experiment)
    elif folder is not None and first:
        held.enter_context(folder.held())
        folder.create(experiment, prepared.schema)
    _write_rejects(prepared, folder)
    place.meet("created")
    return prepared


class _Loop:
    """One run's moving parts: state, data, log, ledger and checkpoints."""

    def __init__(self, prepared: Prepared, folder: Folder | None, wish: Wish, ledger: Ledger, profile: Profile, *,
                 quiet: bool):  # fmt: skip
        self.p, self.run_, self.folder, self.wish, self.quiet = prepared, prepared.experiment.run, folder, wish, quiet
        self.ledger, self.profile = ledger, profile
        self.pending: list[dict[str, jax.Array]] = []
        self.given: Any = None  # what the last step was given, for jax: shapes, kinds and places
        self.rate = jax.jit(prepared.experiment.optim.rate(self.run_.steps))
        self.held = prepared.held
        self.rolled = Rolled(prepared, self.held.cut)
        self.growth = Growth(prepared.experiment.data.batch, self.run_.ramp)

    def run(self) -> tuple[state.TrainState, dict[str, Any]]:
        """To the last step, then evaluate."""
        data = self.p.experiment.data
        shard = place.shard(self.p.mesh)
        own = {"augment": data.augment, "shard": shard, "workers": self.run_.workers, "ramp": self.run_.ramp}
        batches = pipeline.stream(self.p.examples, batch=data.batch, seed=data.seed, **own)
        with contextlib.closing(batches), self._checkpoints() as saved:
            begun, start = self._start(saved, batches)
            now = self.held.laid(begun)
            del begun
            self.ledger.resume(self._first_folder(), start)
            with self._log(start) as log, jax.transfer_guard("disallow"):
                for line in introduction(self.p, start):
                    log.say(line)
                with self.ledger.spent("step"):
                    for step in range(start + 1, self.run_.steps + 1):
                        now = self._step(step, now, batches)
                        log.tick(step)
                        self._after(step, start, now, batches, log, saved)
                self.ledger.work(self._operations(start), list(self.p.mesh.devices.flat))
                with self.ledger.spent("evaluate"):
                    evaluations = self._evaluate(now, log)
        return self.held.cut(now), evaluations

    def _start(self, saved: checkpoint.Checkpoints | None, batches: Any) -> tuple[state.TrainState, int]:
        old = saved if saved is not None and saved.latest() is not None else None
        if old is None or self.rolled.refers:
            begun = self._begun()
            self.rolled.begin(begun)
            if old is None:
                return begun, 0
        now, position = old.restore(checkpoint.abstract(self.p.shapes, self.p.shardings))
        batches.set_state(position)
        return now, int(now.step)

    def _begun(self) -> state.TrainState:
        """The state at step 0: a function of the experiment alone, and of the run that it begins from."""
        own: dict[str, Any] = {"out_shardings": self.p.shardings}
        begun = compiled.jit(self.p.init, self.p.mesh, **own)(jax.random.key(self.run_.seed))
        if self.p.taken is None:
            return begun
        given = opened(self.p.experiment.init_from).weights(self.p.mesh)
        taken, optimizer = self.p.taken, self.p.optimizer
        return compiled.jit(lambda b, g: taken.put(b, g, optimizer), self.p.mesh, **own)(begun, given)

    def _step(self, step: int, now: Any, batches: Any) -> Any:
        with self.ledger.spent("data"):
            batch, figures = self.rolled(now, next(batches))
        place.settle(self.p.mesh, self.pending[-1:])
        if step == self.run_.steps:
            self.given = jax.tree.map(_told, (now, batch))
        with self.profile.step(step, now):
            now, metrics = self.held.step(now, batch)
        self.profile.after(step, now)
        self.pending.append(metrics | figures)
        self.ledger.done(step)
        return now

    def _operations(self, start: int) -> int:
        """What a step cannot do without, in the mean; it was traced as it was compiled, and is not traced again."""
        if self.given is None:
            return 0  # no step was left to do
        whole = flops.of_jaxpr(self.held.step.trace(*self.given).jaxpr)
        batch = self.growth(self.run_.steps - 1)[1]
        rows = self.growth(self.run_.steps)[0] - self.growth(start)[0]
        return whole * rows // (batch * max(self.run_.steps - start, 1))

    def _after(self, step: int, start: int, now: Any, batches: Any, log: Log, saved: Any) -> None:
        """What is due after a step: log, save, evaluate, leave."""
        last = step == self.run_.steps
        due = last or _due(step, self.run_.log_every) or _due(step, self.run_.save_every)
        leaving = self.wish.agreed() if due or jax.process_count() == 1 else 0
        if due or leaving:
            self._flush(step, log)
        if saved is not None and (last or leaving or _due(step, self.run_.save_every)):
            self.ledger.saved(step)
            with self.ledger.spent("save"):
                saved.save(step, self.held.cut(now), batches.get_state())
        if leaving and not last:
            if saved is not None:
                with self.ledger.spent("save"):
                    saved.wait()
            raise self._interrupted(leaving, step)
        if _due(step, self.run_.evaluate_every) and not last:
            jax.block_until_ready(now.step)  # the time of the steps so far is theirs
            with self.ledger.spent("evaluate"):
                for name, evaluation in self.p.evaluations.items():
                    log.evaluation(step, name, evaluation(self._weights(now), intervals=False))

    def _flush(self, step: int, log: Log) -> None:
        """Fetch the metrics of the steps since the last time, and look for the first bad one."""
        values = jax.device_get(self.pending)
        first = step - len(values) + 1
        self.pending = []
        for at, row in enumerate(values, start=first):
            bad = [name for name, value in row.items() if not math.isfinite(value)]
            if bad:
                raise FloatingPointError(f"{bad[0]} is {float(row[bad[0]])} at step {at}; {self._advice(row)}")
        rows = {name: float(sum(row[name] for row in values) / len(values)) for name in values[0]}
        at = jax.device_put(np.int32(step - 1), sharding.replicated(self.p.mesh))
        rate = float(jax.device_get(self.rate(at)))
        examples = self.growth(step)[0] - self.growth(first - 1)[0]
        log.step(step, rows | {"lr": rate}, examples=examples)

    def _advice(self, row: dict[str, Any]) -> str:
        for name, objective in self.p.experiment.objectives.items():  # one may know what an infinite loss means
            if hasattr(objective, "infinite") and math.isinf(row.get(f"loss/{name}", 0.0)):
                return objective.infinite
        kept = f"the last good state is in {self.folder.path}; " if self.folder is not None else ""
        return f"{kept}try a smaller optim.lr, a longer optim.warmup or optim.clip"

    def _evaluate(self, now: Any, log: Log) -> dict[str, Any]:
        weights = self._weights(now)
        found = {}
        for name, evaluation in self.p.evaluations.items():
            self._heed()
            found[name] = evaluation(weights)
            log.evaluation(self.run_.steps, name, found[name])
        self._heed()
        return found

    def _weights(self, now: Any) -> dict[str, Any]:
        return state.weights(self.held.cut(now), self.p.experiment.lora)

    def _heed(self) -> None:
        """Leave between two evaluations where that was asked for; the last state is saved by then."""
        leaving = self.wish.agreed()
        if leaving:
            raise self._interrupted(leaving, self.run_.steps)

    def _interrupted(self, signum: int, step: int) -> Interrupted:
        return Interrupted(signum, step, str(self.folder.path) if self.folder else None)

    def _first_folder(self) -> Path | None:
        """Where this process writes: nowhere unless it is the first."""
        return self.folder.path if self.folder is not None and jax.process_index() == 0 else None

    def _log(self, start: int) -> Log:
        return Log(
            self._first_folder(), steps=self.run_.steps, start=start, quiet=self.quiet or jax.process_index() > 0
        )

    @contextlib.contextmanager
    def _checkpoints(self) -> Iterator[checkpoint.Checkpoints | None]:
        if self.folder is None:
            yield None
            return
        with checkpoint.opened(self.folder.path / CHECKPOINTS, keep=self.run_.keep) as saved:
            yield saved
            with self.ledger.spent("save"):
                saved.wait()


def _write_rejects(prepared: Prepared, folder: Folder | None) -> None:
    """A line for every row that was left out, from whichever file."""
    opened = [prepared.examples, *(evaluation.examples for evaluation in prepared.evaluations.values())]
    rejects = [reject for examples in opened for reject in examples.rejects]
    if rejects and folder is not None and jax.process_index() == 0:
        folder.write_rejects(rejects)


def _told(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def evaluate(
    workdir: str | Path, data: Any, *, batch: int | None = None, allow: tuple[type, ...] = (),
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Metrics of a finished run on ``data``: ``{"count": n, "heads": {head: metrics}}``.

    allow: classes outside mmjax that the run's experiment is made of. tell: called with a line on what was left
    out or cut, if anything was.
    """
    from mmjax.train.evaluate import Evaluation, standard

    folder = Folder(Path(workdir), allow)
    experiment, schema = folder.experiment(), folder.schema()
    mesh = sharding.Mesh().build()  # of the devices that are here, not of those that trained
    examples = data.open(schema)
    usual = standard(schema, experiment.answers, heads=parts(experiment.model, "heads") or None)
    own = next((e for e in experiment.evaluators.values() if e.metrics), None)
    measures = dict(own.metrics) if own is not None else usual
    reference = own.reference.open(schema) if own is not None and own.reference is not None else None
    if not measures:
        raise UserError(f"{folder.path} has no head with a target to evaluate")
    measured = Evaluation(
        experiment.model, examples, measures, schema=schema, batch=batch or experiment.data.batch, mesh=mesh,
        reference=reference, views=viewed.fixed(experiment.model, own) if own is not None else None,
    )  # fmt: skip
    found = measured(folder.weights(mesh))
    if tell is not None:
        for note in examples.notes():
            tell(note)
    if not any(metrics.get("count", 1) for metrics in found["heads"].values()):
        targets = [schema.targets[m.target] for m in measures.values() if m.target in schema.targets]
        columns = sorted({column for target in targets for column in target.columns})
        raise UserError(f"{examples.name} has no answer to measure against; it needs column {' or '.join(columns)}")
    return found
