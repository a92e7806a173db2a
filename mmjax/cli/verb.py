"""What the verbs do, once they are understood. Each returns the exit status."""

import dataclasses
import itertools
import json
import sys
from argparse import Namespace as Options
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

import mmjax
from mmjax.cli import given, listing, override, recipe
from mmjax.cli.parser import complain
from mmjax.core import UserError
from mmjax.train import cluster, report
from mmjax.train.folder import Folder
from mmjax.train.prepare import fitted

_WIDE = 1000  # characters


def train(options: Options) -> int:
    """Train a recipe; the last line on standard output tells where and how well."""
    loaded = recipe.load(options.recipe)
    prog = f"mmjax train {options.recipe}"
    if options.help:
        return _help(loaded, prog)
    experiment = override.apply(loaded.experiment, options.overrides, prog=prog)
    return _trained(experiment, options.workdir or _agreed(loaded.name), profile=options.profile)


def fit(options: Options) -> int:
    """Train what suits a manifest."""
    loaded = _mine(options)
    prog = f"mmjax fit {options.what} --label {options.label}"
    if options.help:
        return _help(loaded, prog)
    experiment = override.apply(loaded.experiment, options.overrides, prog=prog)
    return _trained(experiment, options.workdir or _agreed(loaded.name))


def compare(options: Options) -> int:
    """Every fusion side by side, for a recipe or a manifest."""
    if options.what.endswith(".py"):
        loaded, prog = recipe.load(options.what), f"mmjax compare {options.what}"
    else:
        loaded, prog = _mine(options), f"mmjax compare {options.what} --label {options.label}"
    if options.help:
        return _help(loaded, prog)
    experiment = override.apply(loaded.experiment, options.overrides, prog=prog)
    workdir = options.workdir or _fresh(f"{loaded.name}-compare")
    fusions = [name.strip() for name in options.fusions.split(",") if name.strip()]
    try:
        found = mmjax.compare(
            experiment,
            seeds=options.seeds,
            fusions=fusions,
            workdir=workdir,
            head=options.head,
            evaluator=options.evaluator,
        )
    except mmjax.train.Interrupted as stop:
        complain(str(stop))
        return stop.status
    _say(found)
    return 0


def _mine(options: Options) -> recipe.Recipe:
    """The experiment that suits a manifest, as a recipe would say it."""
    built = mmjax.fit.experiment(
        options.what,
        label=options.label,
        val=options.val,
        by=options.by,
        without=options.without,
        on_bad_row=options.on_bad_row,
    )
    return recipe.Recipe(Path(options.what).stem, f"{options.label} from {options.what}", built)


def _trained(experiment: mmjax.train.Experiment, workdir: str, *, profile: tuple[int, int] | None = None) -> int:
    try:
        result = mmjax.train(experiment, workdir=workdir, profile=profile)
    except mmjax.train.Interrupted as stop:
        complain(str(stop))
        return stop.status
    except FloatingPointError as error:
        complain(str(error))
        return 1
    if jax.process_index() > 0:  # the first one speaks for all
        return 0
    _say(
        {
            "workdir": result.workdir,
            "step": result.step,
            "seconds": round(result.seconds, 2),
            "evaluations": result.evaluations,
        }
    )
    return 0


def evaluate(options: Options) -> int:
    """Measure a run on a manifest."""
    packed = "://" in options.data or Path(options.data).is_dir()
    if packed and options.where:
        raise UserError(f"--where is for a manifest; {options.data} is packed")
    data = mmjax.datasets.Manifest(options.data, where=options.where)
    data = mmjax.datasets.Records(options.data) if packed else data
    data = mmjax.datasets.Texts(options.data) if options.data.endswith(".txt") else data
    found = mmjax.evaluate(options.workdir, data, tell=complain)
    _show(*report.evaluation(options.data, found))
    _say(found)
    return 0


def predict(options: Options) -> int:
    """One line of JSON for each row of a manifest, or for the one example that is given by its parts."""
    schema = Folder(Path(options.workdir)).schema()
    modalities = list(listing.modalities(schema.inputs))
    parser = given.predict_parser(modalities)
    if options.help:
        parser.print_help()
        return 0
    said, words = parser.parse_known_args(options.rest)
    if words:
        parser.unknown(words)
    parts = {name: values[-1] for name, values in given.parts(said, modalities, parser).items()}
    if bool(parts) == bool(said.manifest):
        both = "not both" if parts else f"such as --{next(iter(schema.inputs))}"
        raise UserError(f"predict wants either a MANIFEST or the parts of one example, {both}")
    predictor = mmjax.predict.Predictor.load(options.workdir, tell=complain)
    what = [said.manifest] if said.manifest else []
    for record in predictor(*what, on_bad_row=said.on_bad_row, **parts):
        _say(record)
    return 0


def generate(options: Options) -> int:
    """Continue texts, and show how while it goes."""
    generator = mmjax.generate.Generator.load(options.workdir)
    modalities = list(listing.modalities(generator.fields))
    parser = given.generate_parser(modalities)
    if options.help:
        parser.print_help()
        return 0
    said, words = parser.parse_known_args(options.rest)
    if words:
        parser.unknown(words)
    parts = given.parts(said, modalities, parser)
    prompts = said.prompt or [""] * max(map(len, parts.values()), default=0)
    if not prompts:
        parser.error("--prompt TEXT is missing")
    names = [field.name for field in dataclasses.fields(mmjax.generate.Choice)]
    how = mmjax.generate.Choice(**{name: getattr(said, name) for name in names})

    begun = iter(prompts[:1])  # shown with the first piece, once it is known to be a prompt that can be continued

    def tell(_: int, piece: str) -> None:
        print(next(begun, "") + piece, end="", file=sys.stderr, flush=True)

    alone = len(prompts) == 1
    asked = {"tokens": said.tokens, "stop": said.stop, "beams": said.beams, "seed": said.seed}
    found = generator(prompts, how=how, tell=tell if alone else None, given=parts, **asked)
    if alone:
        tell(0, "\n")
    for one in found:
        _say(dataclasses.asdict(one))
    return 0


def pack(options: Options) -> int:
    """A manifest and its files to records."""
    data = mmjax.datasets.Manifest(options.what, label=options.label, on_bad_row=options.on_bad_row)

    def tell(done: int, total: int) -> None:
        print(f"\r{done:,} of {total:,} rows", end="\n" if done == total else "", file=sys.stderr, flush=True)

    _say(mmjax.data.records.pack(data, options.out, form=options.form, rows=options.rows, tell=tell))
    return 0


def show(options: Options) -> int:
    """What a recipe or a run costs."""
    what = Path(options.what)
    if what.is_dir():
        if options.overrides:
            raise UserError(f"{what} is a finished run, whose fields are fixed; show its recipe instead")
        experiment, schema = Folder(what).experiment(), Folder(what).schema()
        experiment = experiment if options.devices else _here(experiment)
    else:
        loaded = recipe.load(options.what)
        prog = f"mmjax show {options.what}"
        if options.help:
            return _help(loaded, prog)
        experiment = override.apply(loaded.experiment, options.overrides, prog=prog)
        schema = fitted(experiment)
    found = mmjax.show.facts(experiment, schema, devices=options.devices)
    _show(mmjax.show.table(found))
    _say(found)
    return 0


def _here(experiment: mmjax.train.Experiment) -> mmjax.train.Experiment:
    """The experiment on the devices of this machine, where its own mesh wants others."""
    try:
        experiment.mesh.build()
    except UserError:
        return dataclasses.replace(experiment, mesh=mmjax.train.Mesh())
    return experiment


def _help(loaded: recipe.Recipe, prog: str) -> int:
    # A reader that is no terminal has no width, and a flag in two lines could not be found.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    options = {"train": " [--workdir DIR] [--profile A:B]", "fit": " [--workdir DIR] [--val FILE]"}
    options["compare"] = " [--workdir DIR] [--seeds N] [--fusions A,B] [--head NAME] [--evaluator NAME]"
    console.print(f"usage: {prog}{options.get(prog.split()[1], '')} [--FIELD VALUE ...]\n", markup=False)
    console.print(listing.flags(loaded.experiment, about=loaded.about))
    return 0


def _agreed(name: str) -> str:
    """A fresh folder that all processes of a run agree on."""
    return cluster.first("workdir", _fresh(name))


def _fresh(name: str) -> str:
    """The first of runs/NAME-1, runs/NAME-2, ... that is not there yet."""
    return next(str(path) for n in itertools.count(1) if not (path := Path("runs") / f"{name}-{n}").exists())


def _show(*tables: Any) -> None:
    console = Console(stderr=True, highlight=False)
    for table in tables:
        console.print(table)


def _say(record: Any) -> None:
    """One line of strict JSON on standard output, at once, so that a reader at the other end can go on."""
    try:
        print(json.dumps(record, ensure_ascii=False, allow_nan=False), flush=True)
    except UnicodeEncodeError:  # standard output is not UTF-8; nothing of the line was written
        print(json.dumps(record, allow_nan=False), flush=True)
