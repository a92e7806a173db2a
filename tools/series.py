"""The GPT series as a difference of a few fields: ``python tools/series.py`` writes ``docs/series.md``.

Read off the modules themselves, so that the page says what they are.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmjax.core import plain
from mmjax.decoders import GPT
from mmjax.zoo import gpt1, gpt2, gpt3, modern, weight, whisper

PAGE = Path(__file__).parents[1] / "docs" / "series.md"
SIZES: dict[str, tuple[Callable[..., GPT], ...]] = {
    "GPT-1": (gpt1.model,),
    "GPT-2": (gpt2.small, gpt2.medium, gpt2.large, gpt2.xl),
    "GPT-3": (
        *(gpt3.small, gpt3.medium, gpt3.large, gpt3.xl),
        *(gpt3.billions_3, gpt3.billions_7, gpt3.billions_13, gpt3.davinci),
    ),
    "modern": (modern.small, modern.llama2_7b, modern.llama2_70b),
}
# What a size is; all else is what a model of the series is.
OF_SIZE = ("vocabulary", "length", "width", "depth", "heads", "kv_heads", "head_size", "mlp", "dropout")


def page() -> str:
    """The whole page."""
    return f"""# The GPT series, field by field

Written by `python tools/series.py` from the modules of `mmjax.zoo`; a test holds it to them.

All are `decoders.GPT`. Fields in which any differs, and an empty cell where it is as GPT-2 has it:

{_differences()}

Whisper's decoder looks at what its encoder heard (`cross=1`). The same field with `cross_gate=True` makes a Flamingo,
and without it `decoders.Projector` or `decoders.Queries` put what encoders see and hear into the text itself, as
LLaVA and BLIP-2 do (`decoders.Talker`). OpenAI has published no architecture of GPT-4V, nor of what came after it, so
none is here: these are the open ways to the same end.

Training, too, is the same loop. GPT-1's fine-tuning is `decoders.Tuned` with heads that read the last token, and the
words' loss at half its weight beside theirs. GPT-3's batches grow from 32,000 tokens on (`train.Ramp`). What
InstructGPT adds are objectives: `Ranking` for its rewards, `Policy` with `Values` for PPO.

## Sizes

{_sizes()}
"""


def _differences() -> str:
    families = {"GPT-1": gpt1.model(), "GPT-2": gpt2.small(), "GPT-3": gpt3.davinci(), "Llama 2": modern.llama2_7b()}
    families["Whisper's"] = whisper.large().decoder
    ours = families["GPT-2"]
    rows = []
    for name in plain.fields(ours):
        values = [getattr(model, name) for model in families.values()]
        if name not in OF_SIZE and any(value != values[1] for value in values):
            cells = [_cell(value) if i == 1 or value != values[1] else "" for i, value in enumerate(values)]
            rows.append([f"`{name}`", *cells])
    return _table(["field", *families], rows)


def _sizes() -> str:
    rows = []
    for family, makers in SIZES.items():
        for make in makers:
            model = make()
            own = model.head_size or model.width // model.heads
            groups = f" ({model.kv_heads} of keys)" if model.kv_heads else ""
            heads = f"{model.heads} x {own}{groups}"
            numbers = (model.depth, model.width, heads, model.length, model.vocabulary, _parameters(make))
            where = f"`{make.__module__.removeprefix('mmjax.')}.{make.__name__}`"
            rows.append([family, where, *(f"{n:,}" if isinstance(n, int) else n for n in numbers)])
    return _table(["series", "", "layers", "width", "heads", "context", "words", "parameters"], rows)


def _parameters(make: Callable[..., GPT]) -> int:
    """Layers are alike in number, so that one of them is made, and none is computed."""
    return sum(math.prod(shape) for shape in weight.shapes(make(scan=True, bands=())).values())


def _cell(value: Any) -> str:
    return f"{list(value) if isinstance(value, tuple) else value}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(PAGE.write_text(page(), encoding="utf-8") and None)
