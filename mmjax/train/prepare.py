"""Everything that can fail on what the user gave, done before a run folder exists."""

import bisect
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
from flax import linen

from mmjax.core import Batch, UserError, plain
from mmjax.data.ramp import Growth
from mmjax.train import (
    across,
    activation,
    audit,
    compiled,
    flat,
    folder,
    frozen,
    lora,
    pixel,
    place,
    quantized,
    sharding,
    start,
    state,
    step,
    viewed,
)
from mmjax.train.evaluate import Evaluation, standard
from mmjax.train.experiment import Experiment


@dataclass
class Prepared:
    """A run that is known to fit together.

    function: the pure step; step: the same, compiled for the mesh. held: how training holds the state between steps,
    and its own step. notes: what one should know of its shardings.
    """

    experiment: Experiment
    schema: Any
    examples: Any
    mesh: jax.sharding.Mesh
    optimizer: optax.GradientTransformation
    init: Any
    shapes: Any
    shardings: Any
    function: step.Step
    step: Any
    held: flat.Held
    evaluations: dict[str, Evaluation]
    notes: list[str]
    taken: start.Taken | None


def prepare(experiment: Experiment, *, schema: Any = None, devices: Sequence[Any] | None = None) -> Prepared:
    """Read the data, fit the schema unless given, and check that all parts fit together.

    devices: to run on, all that are here by default; what is only compiled may be for others.
    Raises UserError for the first thing that does not.
    """
    mesh = experiment.mesh.build(devices)
    for size in Growth(experiment.data.batch, experiment.run.ramp).sizes:
        where = "data.batch" if size == experiment.data.batch else "run.ramp: a batch"
        place.check_batch(size, experiment.optim.accumulate, mesh, where=where)
    for where, value, least in (
        ("run.steps", experiment.run.steps, 1),
        ("run.keep", experiment.run.keep, 1),
        ("run.workers", experiment.run.workers, 0),
        ("data.seed", experiment.data.seed, 0),
    ):
        if value < least:
            raise UserError(f"{where}={value} must be at least {least}")
    optimizer = experiment.optim.build(experiment.run.steps)
    schema = fitted(experiment) if schema is None else schema
    examples = pixel.opened(experiment.data, schema)
    example = blank(experiment, schema)
    seen = viewed.seen(experiment.views, experiment.model, example)
    check_sizes(experiment.model, schema, experiment.answers, made=seen.inputs)
    init = state.make_init(experiment.model, optimizer, seen, experiment.lora)
    shapes = _shapes(init, mesh)
    experiment.optim.check(shapes.params)
    variables = {"params": shapes.params, **shapes.variables}
    model = lora.over(activation.Placed(experiment.model, mesh, experiment.mesh), experiment.lora)
    forward = functools.partial(jax.eval_shape, lambda v, i: model.apply(v, i, train=False), variables)
    outputs = forward(example.inputs)
    learned = outputs if seen is example else forward(seen.inputs)
    _check_marks(schema, outputs)
    for name, objective in experiment.objectives.items():
        _fits(objective, schema, learned, seen, where=f"objectives.{name}")
    _balances(experiment, shapes.params)
    shardings = sharding.state_shardings(shapes, optimizer, mesh, experiment.mesh)
    taken = _taken(experiment, variables)
    notes = [*(taken.notes if taken else ()), *audit.notes(shapes, shardings, mesh, model)]
    taught = quantized.over(model, experiment.quantized)
    notes += quantized.notes(taught, variables, seen.inputs, mesh.devices.flat[0])
    define = functools.partial(
        step.make_step,
        taught,
        {name: across.spread(objective, mesh) for name, objective in experiment.objectives.items()},
        optimizer,
        accumulate=experiment.optim.accumulate,
        modality_dropout=experiment.modality_dropout,
        balance=experiment.balance,
        views=experiment.views,
        still=experiment.optim.frozen,
    )
    function = pixel.scaled(define(), schema)
    layout = _layout(experiment, shapes.params, shardings.params)
    held = flat.Held(layout, pixel.scaled(define(cut=layout.cut), schema), shapes, shardings, mesh)
    evaluations = {name: _evaluation(experiment, model, e, schema, mesh) for name, e in experiment.evaluators.items()}
    for name, evaluation in evaluations.items():
        _measures(name, evaluation, schema, example, outputs, forward=forward)
    fixed = experiment, schema, examples, mesh, optimizer, init, shapes, shardings
    return Prepared(*fixed, function, compiled.step(function, shardings, mesh), held, evaluations, notes, taken)


def _shapes(init: Any, mesh: jax.sharding.Mesh) -> Any:
    """Of the state that ``init`` begins, traced where a run begins, which need not trace it again."""
    key = jax.random.key(0)
    with jax.set_mesh(mesh):
        return jax.eval_shape(init, jax.ShapeDtypeStruct((), key.dtype, sharding=sharding.replicated(mesh)))


def _layout(experiment: Experiment, params: Any, shardings: Any) -> flat.Layout:
    """What lies end to end: nothing where a rollout reads the state, or a balance the gradient, in every step."""
    if not experiment.run.flat or experiment.rollout is not None or experiment.balance is not None:
        return flat.Layout(params, [""] * len(jax.tree.leaves(params)))
    return flat.layout(params, shardings, experiment.optim)


def _balances(experiment: Experiment, params: Any) -> None:
    """Raises UserError where what keeps modalities in balance can't."""
    if experiment.balance is None:
        return
    experiment.balance.check(experiment.objectives, params)
    if experiment.optim.accumulate > 1:
        raise UserError("balance is of a whole batch; set optim.accumulate to 1 and a smaller data.batch")


def blank(experiment: Experiment, schema: Any) -> Batch:
    """The shapes and types of what a step is given."""
    example = schema.example(experiment.data.batch)
    return example if experiment.rollout is None else experiment.rollout.example(example)


def _taken(experiment: Experiment, variables: Any) -> start.Taken | None:
    """What the run that an experiment begins from gives to these variables."""
    name, only = experiment.init_from, experiment.init_only
    frozen.regular(only, of="init_only")
    if only and not name:
        raise UserError(f"init_only={only} is of what init_from names, which is nothing")
    return start.match(variables, folder.there(name, of="init_from").shapes(), name, only) if name else None


def fitted(experiment: Experiment) -> Any:
    """What the training rows teach, of the modalities that the model has an encoder for.

    One that nothing encodes must not count as seen: modality dropout might spare it alone.
    """
    schema, encoders = experiment.data.fit(), _encoders(experiment.model)
    read = {*encoders, getattr(experiment.model, "stream", "")}  # what a decoder reads itself needs no encoder
    return schema.only(read, reason="the model has no encoder for it") if encoders else schema


def check_sizes(
    model: linen.Module, schema: Any, targets: Mapping[str, str] | None = None, *, made: Collection[str] = ()
) -> None:
    """Raises UserError where a vocabulary is larger than the network has room for, or classes are not what a head has.

    An index outside a table would be clamped in silence on the device, so it must not get there. targets: by
    head, where its name is another than its target's. made: inputs that views make.
    """
    for name, part in _encoders(model).items():
        if name in made and name not in schema.inputs:
            continue
        if name not in schema.inputs:
            known = ", ".join(schema.inputs)
            raise UserError(f"model.encoders has {name!r}, but the data gives only {known}")
        for where, inner in _within(part, f"model.encoders.{name}"):
            _check_size(schema.inputs[name], inner, "vocabulary", where, "entries")
            _check_columns(schema.inputs[name], inner, where)
            _check_places(schema.inputs[name], inner, where)
    stream = getattr(model, "stream", "")  # of a model that reads words itself
    if stream and stream not in schema.inputs:
        raise UserError(f"the model reads {stream!r}, but the data gives only {', '.join(schema.inputs)}")
    if stream:
        _check_size(schema.inputs[stream], model, "vocabulary", "model", "entries")
    for name, part in parts(model, "heads").items():
        target = (targets or {}).get(name, name)
        if target in schema.targets:
            for size in ("classes", "labels"):
                _check_size(schema.targets[target], part, size, f"model.heads.{name}", size, exact=True)
            _check_size(schema.targets[target], part, "vocabulary", f"model.heads.{name}", "words")


def parts(model: linen.Module, name: str) -> Mapping[str, Any]:
    """A multimodal model's encoders or heads by name; of other models none."""
    found = getattr(model, name, None)  # of other models a number, say
    return found if isinstance(found, Mapping) else {}


def _encoders(model: linen.Module) -> dict[str, Any]:
    """A model's encoders by each modality that goes through them."""
    own = parts(model, "encoders")
    return {**own, **{name: own[way] for name, way in parts(model, "alike").items() if way in own}}


def _within(part: Any, where: str) -> Iterator[tuple[str, Any]]:
    """A part and those that it is made of, each with the way to it: a chain's front end has the vocabulary."""
    yield where, part
    for name in plain.fields(part):
        inner = getattr(part, name)
        if isinstance(inner, linen.Module):
            yield from _within(inner, f"{where}.{name}")


def _check_size(field: Any, part: Any, attribute: str, where: str, what: str, *, exact: bool = False) -> None:
    room = getattr(part, attribute, None)
    names = getattr(field, "names", None)
    need = len(names) if names is not None else getattr(field, "size", None)
    if isinstance(room, int) and isinstance(need, int) and (need > room or (exact and need < room)):
        raise UserError(f"{where}.{attribute}={room}, but the training data has {need} {what}; set it to {need}")


def _check_columns(field: Any, part: Any, where: str) -> None:
    room, need = getattr(part, "cardinalities", None), getattr(field, "cardinalities", None)
    if room is None or need is None:
        return
    if len(room) != len(need) or any((r == 0) != (n == 0) or r < n for r, n in zip(room, need, strict=True)):
        raise UserError(f"{where}.cardinalities={tuple(room)}, but the training data has {tuple(need)}")


def _check_places(field: Any, part: Any, where: str) -> None:
    """In packed rows an example has to begin where a token does, or it would share one with its neighbour."""
    align, tokens = getattr(field, "align", None), getattr(part, "tokens", None)
    if align is None or tokens is None or field.kind not in ("audio", "sensor", "video"):
        return
    try:
        stride = bisect.bisect(range(1, 1 << 24), 1, key=tokens)  # how many units still make one token
    except TypeError:  # of more sizes than one: it takes no packed rows, and says so itself
        return
    if stride and align % stride:
        raise UserError(
            f"{where} makes one token of {stride} units, but packed examples begin at multiples of {align}; "
            f"set align of datasets.Packed to {stride}"
        )


def _check_marks(schema: Any, outputs: Any) -> None:
    """Raises UserError where prompts have more or fewer places for a modality than a model makes tokens of it."""
    for where, field in schema.inputs.items():
        room = field.room if field.kind == "prompt" else {}
        for name, count in room.items():
            tokens = outputs.streams[name].values.shape[1] if name in outputs.streams else 0
            if count and count != tokens:
                raise UserError(
                    f"prompt {where!r} has {count} places for {name!r}, but the model makes {tokens} tokens of it; "
                    "mend places of fields.Prompt"
                )


def _fits(part: Any, schema: Any, outputs: Any, example: Batch, *, where: str) -> None:
    """Raises UserError where an objective or a metric cannot be had from these outputs and targets."""
    target, kinds = getattr(part, "target", None), getattr(part, "kinds", ())
    if target is not None and target not in schema.targets and target not in example.targets:
        raise UserError(f"{where} wants target {target!r}; the data has {', '.join(example.targets) or 'none'}")
    field = schema.targets.get(target)
    if field is not None and kinds and field.kind not in kinds:
        raise UserError(
            f"{where} is for targets of kind {' or '.join(kinds)}, but {target!r} is of kind {field.kind} "
            f"({field.describe()})"
        )
    if hasattr(part, "said"):
        _talks(part, field, outputs, where=where)
        return
    try:
        jax.eval_shape(part, outputs, example)
    except (UserError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _measures(name: str, evaluation: Evaluation, schema: Any, example: Batch, outputs: Any, *, forward: Any) -> None:
    """Raises UserError where an evaluator's metrics do not fit what it sees: an example, or what views make of it."""
    if evaluation.views is not None:
        numbers = np.arange(len(jax.tree.leaves(example)[0]))
        example = jax.eval_shape(functools.partial(evaluation.views, None), example, numbers)
        outputs = forward(example.inputs)
    for head, measure in evaluation.measures.items():
        _fits(measure, schema, outputs, example, where=f"evaluators.{name}.metrics.{head}")


def _talks(part: Any, field: Any, outputs: Any, *, where: str) -> None:
    """Raises UserError where a metric that asks the model word by word has no words to ask with."""
    head = part.head or part.target
    if not hasattr(field, "prompt") and not getattr(part, "prompt", 0):
        raise UserError(f"{where} is for answers to prompts; declare targets={{{part.target!r}: fields.Reply(...)}}")
    if head not in outputs.heads:
        raise UserError(f"{where}: the model has no head {head!r}; it has {', '.join(outputs.heads)}")


def _evaluation(
    experiment: Experiment, model: activation.Placed, evaluator: Any, schema: Any, mesh: jax.sharding.Mesh
) -> Evaluation:
    examples = evaluator.data.open(schema)
    measures = evaluator.metrics or standard(schema, experiment.answers, heads=parts(experiment.model, "heads") or None)
    return Evaluation(
        model,
        examples,
        measures,
        schema=schema,
        batch=evaluator.data.batch,
        mesh=mesh,
        subsets=evaluator.subsets,
        reference=None if evaluator.reference is None else evaluator.reference.open(schema),
        views=viewed.fixed(experiment.model, evaluator),
    )
