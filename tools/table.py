"""The README's table of fusions in one command: ``python tools/table.py experiments/av_sum.py experiments/digits.py``.

Compares every fusion on each recipe, in runs/fusions/RECIPE, where it goes on if it was stopped, and puts the
accuracies between the two marks of README.md. ``--seeds N`` trains each model so often (5).
"""

import argparse
import re
import sys
from pathlib import Path

import mmjax
from mmjax.cli import recipe
from mmjax.compare.listing import markdown
from mmjax.core import UserError

README = Path(__file__).parents[1] / "README.md"
_MARKS = re.compile(r"(<!-- fusions -->\n).*?(<!-- end of fusions -->\n)", re.DOTALL)


def main(words: list[str]) -> int:
    """Compare, then write. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", metavar="RECIPE.py", nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args(words)
    found = {}
    try:
        for path in options.recipes:
            loaded = recipe.load(path)
            folder = Path("runs/fusions") / loaded.name
            found[loaded.name] = mmjax.compare(loaded.experiment, seeds=options.seeds, workdir=folder)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
