"""Several seeds of one experiment with one compiled step: side by side in it by ``vmap``, or one after the other.

It is the step of a single run, over the same data in the order that each seed would see alone. So seed s comes
to what a run with ``run.seed`` = ``data.seed`` = s comes to, but for the rounding of sums in another order.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import UserError
from mmjax.data import pipeline
from mmjax.train import compiled, place, sharding, state
from mmjax.train.evaluate import Evaluation
from mmjax.train.prepare import Prepared

_SHARE = 0.6  # of a device's memory that the step of all seeds at once may take


@dataclass(frozen=True)
class Runs:
    """What the seeds came to. weights: variables for ``model.apply``, for one seed after the other.

    seconds: training of all of them, with reading and augmenting the data, at the median pace of the stretches between
    two looks at the loss, so that a machine that stands still for a while does not count; compiling is apart.
    """

    weights: list[Any]
    seconds: float
    compiling: float
    together: bool


@dataclass(frozen=True)
class Answers:
    """What trained seeds say of an evaluation's examples, each of them once.

    rows: by subset and seed, ``{head: Rows}``. seconds: one seed over all examples, with the first subset, on the
    devices alone, at the median pace of the batches; compiling is apart.
    """

    rows: list[list[dict[str, Any]]]
    seconds: float
    compiling: float


def train(
    prepared: Prepared,
    seeds: Sequence[int],
    *,
    together: bool | None = None,
    tick: Callable[[int], None] = lambda steps: None,
) -> Runs:
    """Train every seed to the last step; nothing is written.

    together: all in one step, or one after the other; None: together where memory allows and that is not slower.
    tick: called after every step with the number of steps done, of all seeds; what it raises ends the training.
    Raises FloatingPointError where the loss of a seed stops being finite.
    """
    if prepared.experiment.rollout is not None:
        raise UserError("an experiment with a rollout trains by itself; use `mmjax train` for each seed")
    with jax.set_mesh(prepared.mesh):
        if len(seeds) > 1 and (together or (together is None and _pays(prepared))):
            way = _Together(prepared, len(seeds))
            if together or way.fits():
                now, seconds = _run(prepared, way, seeds, tick)
                weights = state.weights(now, prepared.experiment.lora)
                each = [jax.tree.map(lambda x, i=i: x[i], weights) for i in range(len(seeds))]
                return Runs(each, seconds, way.compiling, True)
        way = _Single(prepared)
        weights, total = [], 0.0
        for i, seed in enumerate(seeds):
            done = i * prepared.experiment.run.steps
            now, seconds = _run(prepared, way, [seed], lambda steps, done=done: tick(done + steps))
            weights.append(state.weights(now, prepared.experiment.lora))
            total += seconds
        return Runs(weights, total, way.compiling, False)


def answers(evaluation: Evaluation, weights: Sequence[Any], subsets: Sequence[Collection[str]]) -> Answers:
    """What each seed says where only the modalities of a subset are to be seen, in one sweep over the examples."""
    pieces: list[list[list[Any]]] = [[[] for _ in weights] for _ in subsets]
    keeps = [evaluation.keep(subset) for subset in subsets]
    compiling, spent = 0.0, []
    with jax.set_mesh(evaluation.mesh), contextlib.closing(evaluation.batches()) as batches:
        for number, batch in enumerate(batches):
            if number == 0:
                begun = time.monotonic()
                jax.block_until_ready(evaluation.gather(weights[0], batch, keeps[0]))
                compiling = time.monotonic() - begun
            for j, keep in enumerate(keeps):
                begun = time.monotonic()
                rows: list[Any] = []
                for each in weights:
                    place.settle(evaluation.mesh, rows[-1:])
                    rows.append(evaluation.gather(each, batch, keep))
                jax.block_until_ready(rows)
                spent += [(time.monotonic() - begun) / len(weights)] if j == 0 else []
                for mine, found in zip(pieces[j], jax.device_get(rows), strict=True):
                    mine.append(found)
    seconds = float(np.median(spent)) * len(spent)
    return Answers([[evaluation.joined(each) for each in subset] for subset in pieces], seconds, compiling)


class _Single:
    """One seed at a time."""

    def __init__(self, p: Prepared):
        begun = time.monotonic()
        self._p = p
        self._init = compiled.jit(p.init, p.mesh, out_shardings=p.shardings)
        self.step = p.step.lower(p.shapes, p.schema.example(p.experiment.data.batch)).compile()
        self.compiling = time.monotonic() - begun

    def init(self, seeds: Sequence[int]) -> state.TrainState:
        return self._init(jax.random.key(seeds[0]))

    def put(self, batches: Sequence[Any]) -> Any:
        return place.put(batches[0], self._p.mesh)


class _Together:
    """All seeds at once, along a first axis of every array."""

    def __init__(self, p: Prepared, count: int):
        begun = time.monotonic()
        self._mesh = p.mesh
        places = jax.tree.map(sharding.stacked, p.shardings)
        shapes, example = (
            jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), tree)
            for tree in (p.shapes, p.schema.example(p.experiment.data.batch))
        )
        self._init = compiled.jit(jax.vmap(p.init), p.mesh, out_shardings=places)
        step = compiled.jit(
            jax.vmap(p.function),
            p.mesh,
            donate_argnums=0,
            in_shardings=(places, sharding.stacked(sharding.batch_sharding(p.mesh))),
            out_shardings=(places, sharding.replicated(p.mesh)),
        )
        self.step = step.lower(shapes, example).compile()
        self.compiling = time.monotonic() - begun

    def init(self, seeds: Sequence[int]) -> state.TrainState:
        return self._init(jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32)))

    def put(self, batches: Sequence[Any]) -> Any:
        return place.put(jax.tree.map(lambda *parts: np.stack(parts), *batches), self._mesh, stacked=True)

    def fits(self) -> bool:
        """Whether memory allows it, as far as the compiler and the device can tell."""
        found = self.step.memory_analysis()
        if found is None:
            return True
        need = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        return need + found.temp_size_in_bytes <= _SHARE * _memory(self._mesh)


def _run(
    p: Prepared, way: _Single | _Together, seeds: Sequence[int], tick: Callable[[int], None]
) -> tuple[state.TrainState, float]:
    """The last state, and the seconds that training took."""
    data, run = p.experiment.data, p.experiment.run
    with contextlib.ExitStack() as opened:
        streams = [
            pipeline.stream(p.examples, batch=data.batch, seed=seed, augment=data.augment, shard=place.shard(p.mesh))
            for seed in seeds
        ]
        for stream in streams:
            opened.enter_context(contextlib.closing(stream))
        now = jax.block_until_ready(way.init(seeds))
        losses: list[Any] = []
        paces = []
        begun = time.monotonic()
        for step in range(1, run.steps + 1):
            batches = way.put([p.examples.schema.done(next(stream)) for stream in streams])
            place.settle(p.mesh, losses[-1:])
            now, metrics = way.step(now, batches)
            losses.append(metrics["loss"])
            if step == run.steps or (run.log_every > 0 and step % run.log_every == 0):
                _check(losses, step, seeds)  # fetches them, so that all these steps are done by now
                paces.append((time.monotonic() - begun) / len(losses))
                losses, begun = [], time.monotonic()
            tick(step * len(seeds))
        return now, float(np.median(paces)) * run.steps


def _check(losses: Sequence[Any], last: int, seeds: Sequence[int]) -> None:
    for step, found in enumerate(jax.device_get(losses), start=last - len(losses) + 1):
        for seed, loss in zip(seeds, np.atleast_1d(found), strict=True):
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"loss is {float(loss)} at step {step} with seed {seed}; "
                    "try a smaller optim.lr, a longer optim.warmup or optim.clip"
                )


def _pays(p: Prepared) -> bool:
    """Whether one step of all seeds is not slower than as many steps.

    Convolutions with kernels of several seeds become grouped ones, on which a processor spends 2 to 7 times as long.
    """
    if p.mesh.devices.flat[0].platform != "cpu":
        return True
    variables = {"params": p.shapes.params, **p.shapes.variables}
    model, inputs = p.experiment.model, p.schema.example(1).inputs
    return "conv_general_dilated" not in str(
        jax.make_jaxpr(lambda v, i: model.apply(v, i, train=False))(variables, inputs)
    )


def _memory(mesh: jax.sharding.Mesh) -> float:
    """Bytes on each device; those of a processor share the machine's."""
    device = mesh.devices.flat[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return limit or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / mesh.devices.size
