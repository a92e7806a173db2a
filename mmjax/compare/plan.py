"""What a comparison trains: each modality alone, the recipe's own fusion, and every named one in its place."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from mmjax import fusion, metrics, objectives
from mmjax.compare import candidate
from mmjax.compare.opened import Opened
from mmjax.core import UserError
from mmjax.data.sources import nearest, spelled
from mmjax.model import Multimodal
from mmjax.train import Evaluator, Experiment
from mmjax.train.evaluate import powerset
from mmjax.train.prepare import Prepared, fitted, prepare

RECIPE = "recipe"
HELD_OUT = 5  # one row of so many of the training rows teaches how far an expert can be trusted
_LEAST = 10  # training rows of which some can be held out
_ORIGIN = 2024  # seed of which rows are held out; it does not change with those of the runs


@dataclass(frozen=True)
class Entry:
    """One model to train. kind: alone, fusion, or calibration (an expert on a part of the training rows).

    subsets: of the modalities, the first of which is all that it takes. asked: by name, so that it must do.
    """

    name: str
    kind: str
    experiment: Experiment
    subsets: tuple[tuple[str, ...], ...]
    asked: bool = True

    def prepared(self) -> Prepared:
        """Everything that can fail on what the user gave. Raises UserError that names the model."""
        try:
            return prepare(self.experiment)
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from error


@dataclass(frozen=True)
class Plan:
    """A comparison of models of one experiment on one of its evaluations.

    calibration: numbers of the training rows that tell how far experts can be trusted.
    """

    experiment: Experiment
    evaluator: str
    head: str
    target: str
    seeds: tuple[int, ...]
    reference: str
    entries: tuple[Entry, ...]
    schema: Any
    training: Opened
    measured: Opened
    calibration: np.ndarray

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(sorted(self.schema.inputs))

    @property
    def subsets(self) -> list[tuple[str, ...]]:
        """Every non-empty subset of the modalities, the small ones first."""
        return powerset(list(self.modalities))

    @property
    def metric(self) -> metrics.Classification:
        return metrics.Classification(self.target, self.head)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.schema.targets[self.target].names


def plan(
    experiment: Experiment,
    *,
    seeds: int,
    fusions: Sequence[str] = (),
    head: str = "",
    evaluator: str = "",
) -> Plan:
    """Read the data once and lay out all models. Raises UserError for what cannot be compared."""
    if seeds < 1:
        raise UserError(f"seeds={seeds} must be at least 1")
    candidate.named(fusions)
    model = experiment.model
    if not isinstance(model, Multimodal):
        raise UserError("compare wants a model that is a Multimodal, whose fusion can be replaced")
    if experiment.run.ramp is not None:
        raise UserError("compare trains every model with one size of batch; set run.ramp to None")
    if len(model.encoders) < 2:
        raise UserError("compare wants two modalities or more; the model encodes " + ", ".join(model.encoders))
    chosen = _chosen(evaluator, experiment.evaluators, "evaluator")
    schema = fitted(experiment)
    head, target = _head(experiment, schema, head)
    data, given = experiment.data, experiment.evaluators[chosen].data
    training = Opened(data.open(schema), data.batch, data.seed, tuple(data.augment))
    measured = Opened(given.open(schema), given.batch)
    parts = split(_together(experiment, training))
    entries = _entries(experiment, schema, training, measured, parts, fusions=fusions, answers=(head, target))
    reference = next(entry.name for entry in entries if entry.experiment.model == model)
    first = experiment.run.seed
    return Plan(
        experiment,
        chosen,
        head,
        target,
        tuple(range(first, first + seeds)),
        reference,
        tuple(entries),
        schema,
        training,
        measured,
        parts[1],
    )


def split(cells: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the training rows that calibration trains on, and of those that it is measured on.

    Rows with equal cells stay together, so that an expert is not asked about a speaker or patient that it has met.
    """
    numbers = {cell: i for i, cell in enumerate(dict.fromkeys(cells))}
    groups = np.array([numbers[cell] for cell in cells])
    order = np.random.default_rng(_ORIGIN).permutation(len(numbers))
    sizes = np.bincount(groups)[order].cumsum()
    held_out = np.isin(groups, order[sizes <= len(cells) // HELD_OUT])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _together(experiment: Experiment, training: Opened) -> Sequence[Any]:
    """A cell for each training row: equal ones where the experiment's own split keeps rows together."""
    column = getattr(getattr(experiment.data, "fold", None), "by", "")
    examples = training.examples
    return [spelled(examples.row(i).cell(column)) for i in range(len(examples))] if column else range(len(examples))


def _entries(
    experiment: Experiment,
    schema: Any,
    training: Opened,
    measured: Opened,
    parts: tuple[np.ndarray, np.ndarray],
    *,
    fusions: Sequence[str],
    answers: tuple[str, str],
) -> list[Entry]:
    """All models, those alone first: the experts are made of them."""
    head, target = answers
    built = {name: candidate.build(name, experiment.model, head) for name in candidate.FUSIONS}
    own = next((name for name, model in built.items() if model == experiment.model), RECIPE)
    entries = []

    def add(name: str, kind: str, model: Any, data: Opened, val: Opened, subsets: Sequence[tuple[str, ...]]) -> None:
        changed = dataclasses.replace(
            experiment,
            model=model,
            data=data,
            # Only what the comparison reads is measured, and that once, at the end.
            evaluators={"val": Evaluator(val, {head: metrics.Classification(target, head)})},
            objectives={n: o for n, o in experiment.objectives.items() if _answered(o, model)},
            balance=experiment.balance if kind == "fusion" else None,
            views=experiment.views if kind == "fusion" else _views(experiment.views, subsets[0]),
        )
        entries.append(Entry(name, kind, changed, tuple(subsets), kind != "fusion" or name in (*fusions, own)))

    teaching, testing = parts
    held_out = len(training.examples) >= _LEAST and len(testing) > 0
    for modality in sorted(schema.inputs):
        alone = _alone(experiment, schema, modality, head)
        data, val = training.only([modality]), measured.only([modality])
        add(f"{modality} alone", "alone", alone, data, val, [(modality,)])
        if held_out:
            val = dataclasses.replace(data, examples=data.examples.part(testing), augment=())
            data = dataclasses.replace(data, examples=data.examples.part(teaching))
            add(f"{modality} calibrated", "calibration", alone, data, val, [(modality,)])
    subsets = powerset(sorted(schema.inputs))
    subsets = [subsets[-1], *subsets[:-1]]
    for name, model in {own: experiment.model, **{name: built[name] for name in candidate.named(fusions)}}.items():
        add(name, "fusion", model, training, measured, subsets)
    return entries


def _alone(experiment: Experiment, schema: Any, modality: str, head: str) -> Any:
    """The model of one modality: the recipe's own fusion of one stream, or late fusion where it wants several."""
    kept = {name: h for name, h in experiment.model.heads.items() if getattr(h, "stream", "") in ("", modality)}
    model = experiment.model.clone(encoders={modality: experiment.model.encoders[modality]}, heads=kept)
    example = schema.example(1).inputs
    try:
        jax.eval_shape(lambda: model.init(jax.random.key(0), {modality: example[modality]}, train=False))
    except (UserError, ValueError):
        size = candidate.Size.of(experiment.model, head)
        return model.clone(fusion=fusion.Late(width=size.width, dtype=size.dtype))
    return model


def _chosen(name: str, known: Mapping[str, Any], what: str) -> str:
    """``name``, or the only one there is, or the first."""
    if not known:
        raise UserError(f"the experiment has no {what}, so there is nothing to compare on; give it one")
    if name and name not in known:
        raise UserError(f"there is no {what} {name!r}{nearest(name, known)}")
    return name or next(iter(known))


def _head(experiment: Experiment, schema: Any, name: str) -> tuple[str, str]:
    """The head to compare by, and its target: a choice of one of several classes."""
    pairs = {head: target for head, target in experiment.answers.items() if head in experiment.model.heads}
    kinds = {head: schema.targets[target].kind for head, target in pairs.items() if target in schema.targets}
    fitting = {head: pairs[head] for head, kind in kinds.items() if kind == "class"}
    if not fitting:
        told = ", ".join(f"{head!r} is of kind {kind}" for head, kind in kinds.items()) or "there is none"
        raise UserError(f"compare wants a head with one class a row ({told})")
    found = _chosen(name, fitting, "head of one class a row")
    return found, fitting[found]


def _answered(objective: Any, model: Any) -> bool:
    """Whether a model has the heads that an objective reads, and experts where it reads those."""
    own = getattr(objective, "head", None) or getattr(objective, "target", None)
    heads = {str(own), getattr(objective, "teacher", str(own))}  # no head has the name of an objective without any
    experts = not isinstance(objective, objectives.Experts) or isinstance(model.fusion, fusion.Experts)
    return heads <= set(model.heads) and experts


def _views(views: Any, names: Sequence[str]) -> Any:
    """The recipe's views where it has no other modalities than these. Raises UserError for those that do not say."""
    if views is not None and not hasattr(views, "only"):
        raise UserError(f"compare trains each modality alone, and {type(views).__name__} does not say what it is then")
    return views and views.only(names)
