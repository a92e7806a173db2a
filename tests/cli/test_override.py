"""Flags read off the fields themselves."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import pytest

from mmjax.cli import override
from mmjax.core import UserError


class Part(nn.Module):
    """A linen module, which is its own configuration."""

    depth: int = 2
    size: tuple[int, int] | int | None = None
    scan: bool = False
    inner: Any = None
    rates: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Crop:
    """A value among others in a tuple."""

    size: int = 3


@dataclasses.dataclass(frozen=True)
class Whole:
    """A tree of such values."""

    parts: Mapping[str, Any]
    augment: tuple[Any, ...] = (Crop(), Crop(5))
    rate: float = 0.1
    label: str | None = None
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    anything: Any = None
    named: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"organ": "chest"})


WHOLE = Whole({"image": Part(inner=Part(depth=9)), "left ear": Part()})


def change(*words):
    return override.apply(WHOLE, list(words), prog="it")


def test_every_plain_leaf_is_a_flag():
    names = [flag.name for flag in override.flags(WHOLE)]
    assert names[:4] == [f"--parts.image.{name}" for name in ("depth", "size", "scan", "inner.depth")]
    assert {"--augment.1.size", "--rate", "--label", "--named.organ"} <= set(names)
    # Neither linen's own fields, nor what has no type to be read by.
    assert not any(name.endswith((".parent", ".name", "where", "anything")) for name in names)


@pytest.mark.parametrize(
    "words, get, value",
    [
        (["--parts.image.depth", "7"], lambda w: w.parts["image"].depth, 7),
        (["--parts.image.depth=7"], lambda w: w.parts["image"].depth, 7),
        (["--parts.image.inner.depth", "1"], lambda w: w.parts["image"].inner.depth, 1),
        (["--parts.image.size", "3", "4"], lambda w: w.parts["image"].size, (3, 4)),
        (["--parts.image.size", "3"], lambda w: w.parts["image"].size, 3),
        (["--parts.image.scan", "True"], lambda w: w.parts["image"].scan, True),
        (["--parts.image.rates", "0.5", "1e-3"], lambda w: w.parts["image"].rates, (0.5, 1e-3)),
        (["--augment.1.size", "9"], lambda w: w.augment, (Crop(), Crop(9))),
        (["--rate", "-2e-3"], lambda w: w.rate, -2e-3),
        (["--label", "x"], lambda w: w.label, "x"),
        (["--named.organ", "head"], lambda w: w.named, {"organ": "head"}),
    ],
)
def test_a_flag_changes_its_field_alone(words, get, value):
    changed = change(*words)
    assert get(changed) == value
    before = {flag.name: flag.value for flag in override.flags(WHOLE)}
    after = {flag.name: flag.value for flag in override.flags(changed)}
    assert {name for name in before if before[name] != after[name]} == {words[0].split("=")[0]}
    assert change() is WHOLE


@pytest.mark.parametrize(
    "words, told",
    [
        (["--parts.image.dept", "7"], "did you mean --parts.image.depth?"),
        (["--parts.imge.depth", "7"], "did you mean --parts.image.depth?"),
        (["--zzz"], "there is no flag --zzz; see `it --help`"),
        (["--parts.image.depth", "deep"], "--parts.image.depth"),
        (["--parts.image.depth"], "Missing value for argument '--parts.image.depth'"),
        (["--rate", "1", "2"], "2"),
        (["stray"], "stray"),
        (["--parts", "7"], "there is no flag --parts"),
    ],
)
def test_mistakes_are_one_line(words, told, capsys):
    with pytest.raises(UserError) as caught:
        change(*words)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value) and "──" not in str(caught.value) and "---" not in str(caught.value)
    assert capsys.readouterr() == ("", "")
