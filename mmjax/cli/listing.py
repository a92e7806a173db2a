"""Lists and tables that the command shows to people."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mmjax.cli import override


def flags(experiment: Any, *, about: str) -> RenderableType:
    """What a recipe says of itself, and every flag with its kind and present value."""
    out = Table(box=None, pad_edge=False, header_style="bold")
    out.add_column("flag", no_wrap=True)
    out.add_column("kind", overflow="fold")
    out.add_column("now", overflow="fold")
    part = None
    for flag in override.flags(experiment):
        top = flag.name.split(".")[0]
        if part not in (None, top):
            out.add_row()
        part = top
        out.add_row(Text(flag.name), Text(_kind(flag.annotation)), Text(_value(flag.value)))
    return Group(Text(about), Text(), out)


def modalities(fields: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """How each modality of a run is given on the command line: name, metavar, whether it takes several words."""
    for name, field in fields.items():
        several = field.kind == "table" or (field.kind == "prompt" and len(field.asked) > 1)
        yield name, "COLUMN=VALUE" if several else "TEXT" if field.kind in ("text", "prompt") else "FILE", several


def _kind(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
