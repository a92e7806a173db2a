"""The README's table of fusions in one command: ``python tools/table.py experiments/av_sum.py experiments/digits.py``.

Compares fusions on each recipe, in runs/fusions/RECIPE, where it goes on if it was stopped, and puts the accuracies
between the two marks of README.md. ``--seeds N`` trains each model so often (5), ``--steps N`` for at most so many
steps (as the recipe says), both for all recipes or one number for each; ``--fusions NAME ...`` are all but for
this, and ``--but RECIPE:FUSION ...`` leaves one out where it would be too large. ``--plain RECIPE ...`` trains without
the recipe's transforms, which take longer to learn from.
"""

import argparse
import dataclasses
import re
import sys
from pathlib import Path

import mmjax
from mmjax.cli import recipe
from mmjax.compare.listing import markdown
from mmjax.core import UserError
from mmjax.train import Experiment

README = Path(__file__).parents[1] / "README.md"
_MARKS = re.compile(r"(<!-- fusions -->\n).*?(<!-- end of fusions -->\n)", re.DOTALL)


def main(words: list[str]) -> int:
    """Compare, then write. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", metavar="RECIPE.py", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5])
    parser.add_argument("--steps", type=int, nargs="+", default=[10**9])
    parser.add_argument("--fusions", nargs="+", default=list(mmjax.compare.FUSIONS))
    parser.add_argument("--but", metavar="RECIPE:FUSION", nargs="+", default=[])
    parser.add_argument("--plain", metavar="RECIPE", nargs="+", default=[])
    options = parser.parse_args(words)
    found = {}
    try:
        seeds, steps = (_each(getattr(options, name), options.recipes, name) for name in ("seeds", "steps"))
        for path, count, most in zip(options.recipes, seeds, steps, strict=True):
            loaded = recipe.load(path)
            experiment = _within(loaded.experiment, most, plain=loaded.name in options.plain)
            folder = Path("runs/fusions") / loaded.name
            fusions = [name for name in options.fusions if f"{loaded.name}:{name}" not in options.but]
            found[loaded.name] = mmjax.compare(experiment, seeds=count, fusions=fusions, workdir=folder)
    except UserError as error:
        print(f"table: {error}", file=sys.stderr)
        return 2
    table = markdown(found)
    text = README.read_text("utf-8")
    if not _MARKS.search(text):
        print(table)
        print("table: README.md lacks the marks <!-- fusions --> and <!-- end of fusions -->", file=sys.stderr)
        return 1
    README.write_text(_MARKS.sub(lambda marks: marks[1] + "\n" + table + "\n" + marks[2], text), "utf-8")
    return 0


def _each(numbers: list[int], recipes: list[str], name: str) -> list[int]:
    """One number for each recipe. Raises UserError where there are neither as many nor one."""
    if len(numbers) not in (1, len(recipes)):
        raise UserError(f"--{name} has {len(numbers)} numbers for {len(recipes)} recipes; give one, or one for each")
    return numbers * len(recipes) if len(numbers) == 1 else numbers


def _within(experiment: Experiment, steps: int, *, plain: bool) -> Experiment:
    """The same, of at most so many steps; plain: without transforms."""
    run = dataclasses.replace(experiment.run, steps=min(steps, experiment.run.steps))
    data = dataclasses.replace(experiment.data, augment=()) if plain else experiment.data
    return dataclasses.replace(experiment, data=data, run=run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
