"""Values of mmjax to plain JSON and back.

A value is a dataclass (a linen module is one) whose fields are plain data or other values. Reading
builds only dataclasses that mmjax itself defines, or that the caller lists; nothing else is named
by a file, so nothing else can run.
"""

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from mmjax.core.errors import UserError

_LINEN_OWN = ("parent", "name")  # every linen module has these two; neither is configuration
_MAPPING = "mapping"


def fields(value: Any) -> tuple[str, ...]:
    """Names of the fields that configure ``value`` (an instance or a class)."""
    own = _LINEN_OWN if _is_linen(value) else ()
    return tuple(f.name for f in dataclasses.fields(value) if f.init and f.name not in own)


def common(kind: type, value: Any) -> dict[str, Any]:
    """Those of ``value``'s fields that ``kind`` has too, by name: ``Trunk(**common(Trunk, encoder))``."""
    return {name: getattr(value, name) for name in fields(value) if name in fields(kind)}


def to_plain(value: Any) -> Any:
    """``value`` as JSON-ready data; a dataclass becomes ``{"type": "module.Class", field: ...}``.

    Raises TypeError for anything that is neither plain data nor a dataclass.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"mapping keys must be strings, got {list(value)!r}")
        items = {key: to_plain(item) for key, item in value.items()}
        # A user's own key "type" (a column, say) must not read like the name of a class.
        return {"type": _MAPPING, "items": items} if isinstance(items.get("type"), str) else items
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        record = {"type": f"{kind.__module__}.{kind.__qualname__}"}
        return record | {name: to_plain(getattr(value, name)) for name in fields(value)}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    raise TypeError(f"{value!r} is neither plain data nor a dataclass; give the field a plain value")


def from_plain(data: Any, *, allow: Sequence[type] = ()) -> Any:
    """The value that ``to_plain`` wrote. Lists come back as tuples.

    ``allow`` lists classes outside mmjax that the data may name. Raises UserError for any other name.
    """
    if isinstance(data, list | tuple):
        return tuple(from_plain(item, allow=allow) for item in data)
    if not isinstance(data, Mapping):
        return data
    if data.get("type") == _MAPPING:
        return {key: from_plain(item, allow=allow) for key, item in data["items"].items()}
    items = {key: from_plain(item, allow=allow) for key, item in data.items()}
    if not isinstance(data.get("type"), str):
        return items
    kind = _class(items.pop("type"), allow)
    unknown = sorted(set(items) - set(fields(kind)))
    if unknown:
        raise UserError(f"{data['type']} has no field {unknown[0]!r}; it has {', '.join(fields(kind))}")
    return kind(**items)


def completed(data: Any, *, allow: Sequence[type] = ()) -> Any:
    """What ``to_plain`` wrote, with fields that its classes have got since then, as they are by default.

    Builds no value: classes that are neither mmjax's nor in ``allow`` are left as they were written.
    """
    if isinstance(data, list | tuple):
        return [completed(item, allow=allow) for item in data]
    if not isinstance(data, Mapping):
        return data
    items = {key: completed(item, allow=allow) for key, item in data.items()}
    try:
        kind = _class(str(data.get("type")), allow)
    except UserError:
        return items
    new = [f for f in dataclasses.fields(kind) if f.name in fields(kind) and f.name not in data]
    return items | {f.name: to_plain(value) for f in new if (value := _default(f)) is not dataclasses.MISSING}


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _class(name: str, allow: Sequence[type]) -> type:
    for kind in allow:
        if name == f"{kind.__module__}.{kind.__qualname__}":
            return kind
    module, _, label = name.rpartition(".")
    if module.split(".")[0] != "mmjax":
        raise UserError(f"{name!r} is not a value of mmjax; pass its class in allow=...")
    try:
        found = getattr(importlib.import_module(module), label)
    except (ImportError, AttributeError):
        raise UserError(f"this version of mmjax has no {name!r}") from None
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == module):
        raise UserError(f"{name!r} is not a value of mmjax")
    return found


def _is_linen(value: Any) -> bool:
    kind = value if isinstance(value, type) else type(value)
    return any(base.__module__.startswith("flax.linen") for base in kind.__mro__)
