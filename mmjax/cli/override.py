"""Flags read off an experiment's own fields: ``--model.encoders.image.depth 7``.

The experiment is a tree of values (dataclasses, linen modules, mappings and tuples of them); its
leaves are plain. tyro parses the leaves by their annotations; nothing mirrors the tree.
"""

import contextlib
import io
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec

from mmjax.cli.parser import unknown
from mmjax.core import UserError, plain


@dataclass(frozen=True)
class Flag:
    """One leaf: the way to it, its annotation and its value."""

    name: str
    annotation: Any
    value: Any


def flags(value: Any, prefix: str = "") -> Iterator[Flag]:
    """Every field of the tree that a command line can set, depth first."""
    for name, annotation, inner in _fields(value):
        if _is_tree(inner):
            yield from flags(inner, f"{prefix}{name}.")
        else:
            yield Flag(f"--{prefix}{name}", annotation, inner)


def apply(value: Any, words: list[str], *, prog: str) -> Any:
    """``value`` with the fields that ``words`` name changed. Raises UserError for a wrong flag or value."""
    if not words:
        return value
    known = {flag.name for flag in flags(value)}
    for word in words:
        name = word.split("=", 1)[0]
        if name.startswith("--") and name.replace("-", "_") not in {flag.replace("-", "_") for flag in known}:
            raise UserError(unknown(word, sorted(known), prog=prog))
    registry = ConstructorRegistry()
    registry.struct_rule(_rule)
    told = io.StringIO()
    try:
        with registry, contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            return tyro.cli(
                type(value),
                default=value,
                args=words,
                prog=prog,
                use_underscores=True,
                add_help=False,
                config=(tyro.conf.FlagConversionOff,),
            )
    except SystemExit:
        raise UserError(_told(told.getvalue())) from None


def _fields(value: Any) -> list[tuple[str, Any, Any]]:
    """Name, annotation and value of each field that can be set, trees included."""
    if isinstance(value, Mapping):
        named = [(str(key), type(inner), inner) for key, inner in value.items()]
    elif isinstance(value, tuple):
        named = [(str(i), type(inner), inner) for i, inner in enumerate(value)]
    else:
        hints = typing.get_type_hints(type(value))
        named = [(name, hints[name], getattr(value, name)) for name in plain.fields(value)]
    return [(name, _annotation(hint, inner), inner) for name, hint, inner in named if _is_settable(hint, inner)]


def _annotation(hint: Any, value: Any) -> Any:
    if _is_tree(value):
        return type(value)
    if hint in (Any, tuple, list):
        return tuple[type(value[0]), ...] if isinstance(value, tuple | list) else type(value)
    return hint


def _is_settable(hint: Any, value: Any) -> bool:
    """Whether a word on a command line can say what this field should be."""
    if _is_tree(value):
        return True
    if isinstance(value, Mapping) or (isinstance(value, tuple | list) and not value and hint in (Any, tuple, list)):
        return False
    return isinstance(value, bool | int | float | str | tuple | list) or (value is None and hint is not Any)


def _is_tree(value: Any) -> bool:
    """Whether there are fields below."""
    if isinstance(value, Mapping):
        return bool(value) and all(isinstance(key, str) for key in value)
    if isinstance(value, tuple):
        return any(_is_tree(inner) for inner in value)
    return is_dataclass(value) and not isinstance(value, type)


def _rule(info: Any) -> StructConstructorSpec | None:
    """tyro's view of one tree: the fields that can be set, and how to put it together again."""
    value = info.default
    if not _is_tree(value):
        return None
    fields = tuple(StructFieldSpec(name=name, type=hint, default=inner) for name, hint, inner in _fields(value))

    def build(**changed: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: changed.get(key, inner) for key, inner in value.items()}
        if isinstance(value, tuple):
            return tuple(changed.get(str(i), inner) for i, inner in enumerate(value))
        kept = {name: getattr(value, name) for name in plain.fields(value)}
        return type(value)(**kept | changed)

    return StructConstructorSpec(instantiate=build, fields=fields)


def _told(text: str) -> str:
    """What tyro complains of, without its title, its rules, and the help that follows."""
    parts = [" ".join(part.split()) for part in re.split(r"^ *-{3,} *$", text, flags=re.MULTILINE)]
    return parts[1] if len(parts) > 1 else parts[0]
