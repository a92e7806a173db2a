"""HTML that is safe by construction: text is escaped unless it was built here."""

import html
from collections.abc import Iterable

# Elements that stand alone.
_EMPTY = ("img", "meta")


class Markup(str):
    """Text that is HTML already."""


def tag(name: str, /, *children: str | Iterable[str | None] | None, **attributes: object) -> Markup:
    """An element. Children that are not ``Markup`` are escaped, None is left out; so are attributes that are None.

    ``class_`` stands for ``class``, other underscores for hyphens.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>" if name in _EMPTY else f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str | Iterable[str | None] | None) -> Markup:
    """Children one after another, escaped as in ``tag``."""
    parts = []
    for child in children:
        if isinstance(child, str):
            parts.append(child if isinstance(child, Markup) else html.escape(child))
        elif child is not None:
            parts.append(join(*child))
    return Markup("".join(parts))
