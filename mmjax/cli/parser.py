"""What all verbs' flags are read with: mistakes in one line, help as it is written."""

import argparse
import difflib
import sys
from collections.abc import Iterable
from typing import NoReturn

VERBS = {
    "train": "train a recipe and evaluate it; go on where the run folder holds a checkpoint",
    "evaluate": "measure a trained run on a manifest, with confidence intervals",
    "predict": "answer for the rows of a manifest, or for one example from any of its modalities",
    "generate": "continue texts with a trained GPT",
    "fit": "train a model for a manifest of your own, without a recipe",
    "compare": "every fusion side by side, with intervals, cost and baselines",
    "pack": "write a manifest and its files to sharded records, quick to read from anywhere",
    "show": "parameters, FLOPs, memory and shardings of a recipe or a run",
}


class Parser(argparse.ArgumentParser):
    """argparse, where a mistake is one line that names the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with status 2."""
        complain(message)
        sys.exit(2)

    def unknown(self, words: list[str]) -> NoReturn:
        """Refuse what no flag or argument took."""
        flags = [flag for action in self._actions for flag in action.option_strings]
        self.error(unknown(words[0], flags, prog=self.prog))


def unknown(word: str, flags: Iterable[str], *, prog: str) -> str:
    """What to say about a word that nobody takes."""
    if not word.startswith("-"):
        return f"unexpected {word!r}; see `{prog} --help`"
    flag = word.split("=", 1)[0]
    near = difflib.get_close_matches(flag, list(flags), 1, 0.5)
    return f"there is no flag {flag}; " + (f"did you mean {near[0]}?" if near else f"see `{prog} --help`")


def complain(message: str) -> None:
    """One line for a person."""
    print(f"mmjax: {message}", file=sys.stderr)


def make(prog: str, usage: str, description: str, epilog: str) -> Parser:
    """A parser whose help is shown as it is written."""
    form = argparse.RawDescriptionHelpFormatter
    return Parser(prog, usage, description, epilog, formatter_class=form, allow_abbrev=False)


def verb(name: str, usage: str, epilog: str) -> Parser:
    """The parser of a verb, its flags to come."""
    does = VERBS[name]
    return make(f"mmjax {name}", f"mmjax {name} {usage}", does[0].upper() + does[1:] + ".", epilog)


def first(parser: Parser, words: list[str], name: str) -> tuple[str, list[str], bool]:
    """The leading argument of a verb, what follows it, and whether its own help is wanted."""
    wants_help = "-h" in words or "--help" in words
    if not words or words[0].startswith("-"):
        if wants_help:
            parser.print_help()
            sys.exit(0)
        parser.error(f"{name} comes first; see `{parser.prog} --help`")
    return words[0], [word for word in words[1:] if word not in ("-h", "--help")], wants_help


def pair(text: str, parser: Parser, flag: str) -> tuple[str, str]:
    """``COLUMN=VALUE`` in two."""
    column, equals, value = text.partition("=")
    if not column or not equals:
        parser.error(f"{flag} wants COLUMN=VALUE, got {text!r}")
    return column, value
