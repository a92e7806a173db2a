"""The grammar of the command: verbs and their flags. Loads nothing heavy, so that help is quick."""

import difflib
import os
import sys
import textwrap
from argparse import Namespace as Options

import mmjax
from mmjax.cli import given
from mmjax.cli.parser import VERBS, Parser, first, make, pair, verb

_TRAIN = """\
RECIPE.py is Python with a function `config() -> Experiment`. Every plain field of that experiment is a
flag, named by the way to it:

  mmjax train experiments/digits.py --model.encoders.image.depth 7 --run.steps 500 --optim.lr 3e-4
  mmjax train experiments/digits.py --help          lists the flags of this recipe

The run folder (runs/RECIPE-N unless --workdir names one) holds all that `evaluate` and `predict` need. A run
that was stopped or killed goes on when the same command names its folder with --workdir. Its goodput.json tells
where the time went; with --profile 10:15 its folder `profile` has a trace of these steps, which ui.perfetto.dev,
TensorBoard and XProf show.

The last line on standard output is JSON: {"workdir", "step", "seconds", "evaluations": {name: metrics}}.

On several hosts the same command is started on each; under Slurm, Open MPI, Kubernetes and on Cloud TPU the
processes find one another (tools/launch), elsewhere by --coordinator, --processes and --process.

environment:
  MMJAX_CACHE       where compiled programs are kept between runs (default mmjax in the user's cache folder; empty
                    keeps none)
  MMJAX_DATA        where relative paths of recipes are looked for next (default ../shared/data)
  JAX_PLATFORMS     cpu, cuda or tpu; by default the fastest there is. --mesh.data, --mesh.fsdp,
                    --mesh.tensor, --mesh.context, --mesh.expert and --mesh.pipe spread the run over them
  XLA_FLAGS         --xla_force_host_platform_device_count=8 makes eight devices of one processor
"""

_EVALUATE = """\
MANIFEST is CSV, TSV, JSONL or Parquet, or what `mmjax pack` made of one, with the columns that the run was trained on;
columns of inputs may be missing. A run that continues texts is measured on a .txt file. The last line on
standard output is JSON: {"count": n, "heads": {head: {"accuracy": {"value", "low", "high"}, ...}}}.
"""

_FIT = """\
MANIFEST is CSV, TSV, JSONL or Parquet: cells are paths of pictures, recordings and sensor logs, texts, numbers
and categories, and COLUMN is what is to be learned. Encoders and sizes follow from the data; every one of them is
a flag, as with a recipe:

  mmjax fit train.csv --label finding
  mmjax fit train.csv --label finding --val other.csv --run.steps 500
  mmjax fit train.csv --label finding --help        lists the flags for these data

The last line on standard output is JSON, as that of `mmjax train`.
"""

_COMPARE = """\
Trains the majority answer, each modality alone, the experts put together, and every named fusion with the same
encoders, data, steps and seeds. A recipe takes the same flags as with `mmjax train`, a manifest those of `mmjax fit`:

  mmjax compare experiments/digits.py --seeds 3 --fusions late,joint --run.steps 200
  mmjax compare train.csv --label finding

Tables on standard error; compare.json and compare.html in the folder (runs/NAME-compare-N unless --workdir names
one). A comparison that was stopped goes on when the same command names its folder. The last line on standard output
is JSON: {"workdir", "reference", "best", "models": {name: {"accuracy": {"value", "low", "high"}, "f1_macro",
"calibration_error", "difference", "subsets", "parameters", "flops", "train_seconds", "predict_seconds", ...}}, ...}.
"""

_PACK = """\
  mmjax pack train.csv records/train --label finding
  mmjax pack train.csv gs://bucket/train --label finding --form files

OUT is a folder or any address that fsspec knows. With --form decoded (the default) pictures are kept in uint8 at the
size and sounds at the rate that the schema has, with --form files each file is kept as it is. A pack that was stopped
or killed goes on when the same command is given again. The records hold the schema and the label names, and train as
`datasets.Records("OUT")`. The last line on standard output is JSON:
{"records", "rows", "shards", "rejects": [{"row", "file", "reason"}]}.
"""

_SHOW = """\
A table on standard error, and one JSON object on standard output. A recipe takes the same flags as with
`mmjax train`, so that the price of a change is known before it is paid:

  mmjax show experiments/digits.py --model.encoders.image.depth 12
  mmjax show experiments/digits.py --devices 64 --mesh.fsdp 8 --mesh.tensor 2
"""


def parse(arguments: list[str]) -> Options:
    """What is asked for: ``verb`` and its options.

    Raises SystemExit after help, a version, or one line about a mistake.
    """
    parser = _parser()
    if not arguments:
        parser.print_help()
        sys.exit(0)
    word, *rest = arguments
    if word.startswith("-"):
        _, words = parser.parse_known_args(arguments)
        parser.unknown(words)
    if word not in VERBS:
        near = difflib.get_close_matches(word, VERBS, 1, 0.5)
        parser.error(f"there is no verb {word!r}; " + (f"did you mean {near[0]}?" if near else "see `mmjax --help`"))
    return _READERS[word](rest)


def _parser() -> Parser:
    verbs = "\n".join(f"  {verb:<10}{does}" for verb, does in VERBS.items())
    epilog = f"verbs:\n{verbs}\n\n`mmjax VERB --help` tells more."
    parser = make("mmjax", "mmjax VERB ...", "Models that see, hear, read and sense.", epilog)
    parser.add_argument("--version", action="version", version=f"mmjax {mmjax.__version__}")
    return parser


def _train(words: list[str]) -> Options:
    parser = verb("train", "RECIPE.py [--workdir DIR] [--profile A:B] [--FIELD VALUE ...]", _TRAIN)
    parser.add_argument("--workdir", metavar="DIR", help="the run folder, new or to go on in")
    parser.add_argument("--profile", metavar="A:B", help="record steps A to B with jax's profiler")
    _company(parser)
    recipe, rest, wants_help = first(parser, words, "RECIPE.py")
    options, overrides = parser.parse_known_args(rest)
    window = None if options.profile is None else _window(options.profile, parser)
    given = vars(options) | {"profile": window}
    return Options(verb="train", recipe=recipe, overrides=overrides, help=wants_help, **given)


def _closed(parser: Parser, words: list[str], name: str) -> tuple[str, Options]:
    """The first word and the flags of a verb that has no more flags than it says."""
    what, rest, wants_help = first(parser, words, name)
    if wants_help:
        parser.print_help()
        sys.exit(0)
    options, unknown = parser.parse_known_args(rest)
    if unknown:
        parser.unknown(unknown)
    return what, options


def _company(parser: Parser) -> None:
    """Flags of one of several processes."""
    parser.add_argument("--coordinator", metavar="HOST:PORT", default="", help="where process 0 of several listens")
    parser.add_argument("--processes", metavar="N", type=int, default=0, help="how many there are")
    parser.add_argument("--process", metavar="I", type=int, default=-1, help="which of them this one is, from 0")


def _window(text: str, parser: Parser) -> tuple[int, int]:
    """``10:15`` as the first and the last step."""
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal()):
        parser.error(f"--profile wants the first and the last step as A:B, got {text!r}")
    return int(first), int(last)


def _show(words: list[str]) -> Options:
    parser = verb("show", "(RECIPE.py [--FIELD VALUE ...] | DIR) [--devices N]", _SHOW)
    parser.add_argument("--devices", metavar="N", type=int, default=0, help="as on so many, which need not be here")
    what, rest, wants_help = first(parser, words, "RECIPE.py or DIR")
    if wants_help and os.path.isdir(what):  # a run, whose fields are no flags
        parser.print_help()
        sys.exit(0)
    options, overrides = parser.parse_known_args(rest)
    return Options(verb="show", what=what, overrides=overrides, help=wants_help, devices=options.devices)


def _mine(parser: Parser) -> None:
    """Flags of a manifest of one's own."""
    parser.add_argument("--label", metavar="COLUMN", help="the column to learn")
    parser.add_argument("--val", metavar="FILE", help="a manifest to measure on; without one a fifth is held out")
    parser.add_argument("--by", metavar="COLUMN", default="", help="rows with the same cell here are held out together")
    parser.add_argument(
        "--without", metavar="COLUMN", nargs="+", action="extend", default=[], help="columns not to be learned from"
    )
    parser.add_argument("--on_bad_row", metavar="WAY", default="stop", help="stop, or quarantine: left out and listed")


def _fit(words: list[str]) -> Options:
    parser = verb("fit", "MANIFEST --label COLUMN [--workdir DIR] [--val FILE] [--FIELD VALUE ...]", _FIT)
    _mine(parser)
    parser.add_argument("--workdir", metavar="DIR", help="the run folder, new or to go on in")
    _company(parser)
    manifest, rest, wants_help = first(parser, words, "MANIFEST")
    options, overrides = parser.parse_known_args(rest)
    if options.label is None and wants_help:
        parser.print_help()
        sys.exit(0)
    if options.label is None:
        parser.error("--label COLUMN is missing")
    return Options(verb="fit", what=manifest, overrides=overrides, help=wants_help, **vars(options))


def _fusions() -> str:
    """The names that may be compared; the one part of help that loads the parts themselves."""
    from mmjax.compare.candidate import FUSIONS

    return "\n" + textwrap.fill("fusions: " + ", ".join(FUSIONS), 110) + "\n"


def _compare(words: list[str]) -> Options:
    usage = "(RECIPE.py | MANIFEST --label COLUMN) [--seeds N] [--fusions A,B] [--FIELD VALUE ...]"
    parser = verb("compare", usage, _COMPARE + (_fusions() if "-h" in words or "--help" in words else ""))
    _mine(parser)
    parser.add_argument("--workdir", metavar="DIR", help="the comparison's folder, new or to go on in")
    parser.add_argument("--seeds", metavar="N", type=int, default=5, help="how often each model is trained (5)")
    parser.add_argument("--fusions", metavar="A,B", default="", help="names, parted by commas (all)")
    parser.add_argument("--head", metavar="NAME", default="", help="the head to compare by, where there are several")
    parser.add_argument("--evaluator", metavar="NAME", default="", help="where to measure, of several (the first)")
    what, rest, wants_help = first(parser, words, "RECIPE.py or MANIFEST")
    options, overrides = parser.parse_known_args(rest)
    recipe = what.endswith(".py")
    if wants_help and not recipe and options.label is None:
        parser.print_help()
        sys.exit(0)
    if recipe and (options.label or options.val or options.by or options.without or options.on_bad_row != "stop"):
        flags = "--label, --val, --by, --without and --on_bad_row"
        parser.error(f"{flags} are for a manifest; {what} is a recipe, which says these itself")
    if not recipe and options.label is None:
        parser.error(f"--label COLUMN is missing; {what} is no recipe (those end with .py)")
    return Options(verb="compare", what=what, overrides=overrides, help=wants_help, **vars(options))


def _pack(words: list[str]) -> Options:
    parser = verb("pack", "MANIFEST OUT [--label COLUMN] [--form decoded|files] [--rows N]", _PACK)
    parser.add_argument("out", metavar="OUT", help="a new folder or address, or one to go on in")
    parser.add_argument("--label", metavar="COLUMN", help="the column to learn")
    parser.add_argument("--form", metavar="FORM", default="decoded", help="decoded, or files: each as it is")
    parser.add_argument("--rows", metavar="N", type=int, default=0, help="rows of a shard (about 64 MB of them)")
    parser.add_argument("--on_bad_row", metavar="WAY", default="stop", help="stop, or quarantine: left out and listed")
    manifest, options = _closed(parser, words, "MANIFEST")
    return Options(verb="pack", what=manifest, **vars(options))


def _evaluate(words: list[str]) -> Options:
    parser = verb("evaluate", "DIR --data MANIFEST [--where COLUMN=VALUE ...]", _EVALUATE)
    parser.add_argument("--data", metavar="MANIFEST", help="what to measure on")
    parser.add_argument(
        "--where", metavar="COLUMN=VALUE", nargs="+", action="extend", default=[], help="only rows with these values"
    )
    workdir, options = _closed(parser, words, "DIR")
    if options.data is None:
        parser.error("--data MANIFEST is missing")
    where = dict(pair(text, parser, "--where") for text in options.where)
    return Options(verb="evaluate", workdir=workdir, data=options.data, where=where)


_READERS = {
    "train": _train,
    "evaluate": _evaluate,
    "predict": given.predict,
    "generate": given.generate,
    "fit": _fit,
    "compare": _compare,
    "pack": _pack,
    "show": _show,
}
