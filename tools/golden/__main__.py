"""``python -m tools.golden [FAMILY ...]``: the named families, or all of them."""

import importlib
import sys
from pathlib import Path

OTHER = {"__init__", "__main__", "weight"}
FAMILIES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in OTHER)

if __name__ == "__main__":
    for family in sys.argv[1:] or FAMILIES:
        importlib.import_module(f"tools.golden.{family}").main()
