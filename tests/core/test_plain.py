"""Values to JSON and back, and what a file may not name."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from mmjax import Multimodal, encoders, fusion, heads
from mmjax.core import UserError, plain


@dataclasses.dataclass(frozen=True)
class Mine:
    """A user's own value."""

    size: int = 3
    parts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def test_a_model_comes_back_equal():
    model = Multimodal(
        encoders={"image": encoders.Image(width=8), "audio": encoders.Audio(width=8)},
        fusion=fusion.Late(width=8),
        heads={"label": heads.Classify(classes=3)},
    )
    text = json.dumps(plain.to_plain(model), allow_nan=False)
    assert plain.from_plain(json.loads(text)) == model


def test_lists_come_back_as_tuples_and_mappings_as_dicts():
    data = {"a": [1, [2.5, None]], "b": {"c": True}}
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(data)))) == {"a": (1, (2.5, None)), "b": {"c": True}}


def test_own_classes_must_be_listed():
    data = plain.to_plain(Mine(parts={"x": Mine(size=4)}))
    assert plain.from_plain(data, allow=(Mine,)) == Mine(parts={"x": Mine(size=4)})
    with pytest.raises(UserError, match="not a value of mmjax; pass its class in allow"):
        plain.from_plain(data)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "mmjax.core.plain.to_plain",  # a function
        "mmjax.core.errors.UserError",  # a class, but no value
        "mmjax.core.plain.importlib",  # a module
        "mmjax.encoders.image.linen",
        "mmjax.nowhere.Thing",
        "mmjax",
        "",
    ],
)
def test_nothing_else_can_be_named(name):
    with pytest.raises(UserError):
        plain.from_plain({"type": name, "args": [1]})


def test_unknown_fields_are_named():
    data = plain.to_plain(heads.Classify(classes=3)) | {"colour": "red"}
    with pytest.raises(UserError, match="no field 'colour'"):
        plain.from_plain(data)


@pytest.mark.parametrize("value", [object(), {1: 2}, lambda: 0, {"a": {1, 2}}])
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(TypeError):
        plain.to_plain(value)


def test_what_was_written_before_a_field_was_is_completed():
    value = {"one": (heads.Words(5),), "mine": Mine(), "type": "words"}
    data = json.loads(json.dumps(plain.to_plain(value)))
    old = json.loads(json.dumps(data))
    for name in ("tied", "epsilon"):
        del old["items"]["one"][0][name]
    del old["items"]["mine"]["parts"]
    left = plain.completed(old)
    assert left["items"].pop("mine") == old["items"]["mine"]  # not of mmjax
    assert left["items"].items() <= data["items"].items()
    assert plain.completed(old, allow=(Mine,)) == data
    del old["items"]["one"][0]["vocabulary"]  # which has no default
    assert "vocabulary" not in plain.completed(old)["items"]["one"][0]


def test_deep_nesting_is_read_once():
    data = 7
    for _ in range(60):
        data = {"a": data}
    assert plain.from_plain(data) == data
