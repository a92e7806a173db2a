"""The verbs that take a run's own modalities as flags: what they are is known once the run is."""

from argparse import Namespace as Options
from collections.abc import Iterable
from typing import Any

from mmjax.cli.parser import Parser, first, pair, verb

Modalities = Iterable[tuple[str, str, bool]]  # name, metavar, whether it takes several words

_PREDICT = """\
  mmjax predict runs/digits-1 new.csv
  mmjax predict runs/digits-1 --image seven.png --text sieben
  mmjax predict runs/patients-1 --image scan.png --table age=41 organ=chest

MANIFEST may lack any modality and the answers. One example is given by its parts, each by the run's own name
for that modality: a path for files, the words themselves for text, COLUMN=VALUE for columns of a table.
`mmjax predict DIR --help` lists the names. One line of JSON a row on standard output, in the order of the rows:
{"row", "id", "heads": {head: {"value", "probability", "probabilities"}}, "missing": [modalities]}. A row that
cannot be read stops it; with `--on_bad_row quarantine` the row's line has no heads, and an "error".
"""

_GENERATE = """\
  mmjax generate runs/shakespeare_char-1 --prompt "ROMEO:" --tokens 500
  mmjax generate runs/shakespeare_char-1 --prompt "To be" --prompt "Or not" --temperature 0 --stop "."

A model that talks about other things takes them by the run's own names, which `mmjax generate DIR --help` lists; each
may be repeated, once for every prompt. Its prompt is what fills the template that it learned, or has marks of its own;
a template without words, as this one's, needs none:

  mmjax generate runs/vqa_rad-1 --image scan.png --question "is there a fracture?"

Text as it comes on standard error (of one prompt); then one line of JSON a prompt on standard output:
{"prompt", "text", "tokens", "ended"}, where ended is "end", "stop" or "length".
"""


def predict(words: list[str]) -> Options:
    """The run folder of ``predict``, and what follows it."""
    run, rest, wants_help = first(_predict(), words, "DIR")
    return Options(verb="predict", workdir=run, rest=rest, help=wants_help)


def generate(words: list[str]) -> Options:
    """The run folder of ``generate``, and what follows it."""
    run, rest, wants_help = first(_generate(), words, "DIR")
    return Options(verb="generate", workdir=run, rest=rest, help=wants_help)


def predict_parser(modalities: Modalities) -> Parser:
    """The rest of ``predict`` once a run's modalities are known."""
    return _with(_predict(), modalities)


def generate_parser(modalities: Modalities) -> Parser:
    """The rest of ``generate`` once a run's modalities are known."""
    return _with(_generate(), modalities)


def parts(options: Options, modalities: Modalities, parser: Parser) -> dict[str, list[Any]]:
    """What was given of each modality, as often as it was; of one with several columns their cells by name."""
    found = {}
    for name, _, several in modalities:
        values = getattr(options, part(name), None)
        if values is not None and several:
            values = [dict(pair(text, parser, f"--{name}") for text in words) for words in values]
        if values is not None:
            found[name] = values
    return found


def part(modality: str) -> str:
    """Where what was said of a modality is kept, whatever its name."""
    return f"part {modality}"


def _predict() -> Parser:
    parser = verb("predict", "DIR MANIFEST | DIR --MODALITY VALUE ...", _PREDICT)
    parser.add_argument("manifest", metavar="MANIFEST", nargs="?", help="CSV, TSV, JSONL or Parquet")
    parser.add_argument(
        "--on_bad_row", metavar="WAY", default="stop", help="stop, or quarantine: its line tells the error instead"
    )
    return parser


def _generate() -> Parser:
    parser = verb("generate", "DIR --prompt TEXT [--MODALITY VALUE] [--tokens N] [--temperature T] ...", _GENERATE)
    parser.add_argument(
        "--prompt", metavar="TEXT", action="append", default=[], help="what to continue; may be repeated"
    )
    parser.add_argument("--tokens", metavar="N", type=int, default=200, help="at most so many tokens (200)")
    parser.add_argument("--temperature", metavar="T", type=float, default=0.8, help="0: always the likeliest (0.8)")
    parser.add_argument("--top_k", metavar="K", type=int, default=0, help="among the likeliest K alone (all)")
    parser.add_argument("--top_p", metavar="P", type=float, default=1.0, help="among the likeliest with this share (1)")
    parser.add_argument("--min_p", metavar="P", type=float, default=0.0, help="none below this share of the best (0)")
    parser.add_argument("--repetition", metavar="R", type=float, default=1.0, help="above 1: repeats less (1)")
    parser.add_argument("--beams", metavar="N", type=int, default=0, help="search with so many beams instead")
    parser.add_argument("--stop", metavar="TEXT", action="append", default=[], help="ends there; may be repeated")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    return parser


def _with(parser: Parser, modalities: Modalities) -> Parser:
    taken = {flag for own in parser._actions for flag in own.option_strings}
    group = parser.add_argument_group("modalities of this run")
    for name, metavar, several in modalities:
        if f"--{name}" in taken:  # it can be given in a manifest, or from Python
            parser.set_defaults(**{part(name): None})
            continue
        words = "+" if several else None
        group.add_argument(f"--{name}", dest=part(name), metavar=metavar, nargs=words, action="append")
    return parser
