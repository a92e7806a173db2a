"""What a compiled program multiplies, and what it sends between devices, read off its text."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all", "collective-permute")
_BYTES = {"pred": 1, "bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16}
_SHAPE = re.compile(r"(pred|bf16|[a-z]\d+[a-z0-9]*|c64|c128)\[([\d,]*)\]")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+)(?: \([^=]*)? ?(?:->.*)?\{$")
_INDEX = re.compile(r"/\*index=\d+\*/")  # every fifth part of a long tuple is numbered
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$")
_CALLS = re.compile(r"(?:calls|to_apply|body|condition|called_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


@dataclass(frozen=True)
class Instruction:
    """One line: the type of what it gives, the operation, all that follows, and its name."""

    kind: str
    operation: str
    rest: str
    name: str = ""


def traffic(text: str, devices: int) -> dict[str, dict[str, int]]:
    """Bytes that each device sends, by collective: ``{"all-reduce": {"bytes", "overlapped"}, ...}``.

    They are counted on the shortest way round (a ring) of the devices that meet. Of n that meet, an all-reduce of B
    bytes sends 2 B (n - 1) / n, an all-gather to B or a reduce-scatter from B sends B (n - 1) / n, an all-to-all as
    much of its own, and a permutation what it moves. A loop's body counts as often as it turns. A collective that is
    cut into a start, steps beside other work, and an end is written once for each, under one chain or channel, and
    counts once; it is ``overlapped``.
    """
    bodies = computations(text)
    found: dict[str, tuple[str, int, bool]] = {}
    for name, many in _runs(bodies, "ENTRY", 1):
        beside = name.startswith("async_") or any("AsyncCollective" in line.rest for line in bodies[name])
        for number, line in enumerate(bodies[name]):
            kind = line.operation.removesuffix("-start")
            if kind not in COLLECTIVES:
                continue
            scattered = kind == "all-reduce" and name.startswith("all-reduce-scatter")
            sent = many * _bytes(line, kind, devices, half=scattered)
            key = (beside and _chain(line)) or f"{name} {number}"
            apart = beside or line.operation.endswith("-start") or found.get(key, ("", 0, False))[2]
            sent = max(sent, found.get(key, ("", 0, False))[1])
            found[key] = ("reduce-scatter" if scattered else kind, sent, apart)
    return {
        kind: {
            "bytes": sum(sent for k, sent, _ in found.values() if k == kind),
            "overlapped": sum(sent for k, sent, apart in found.values() if k == kind and apart),
        }
        for kind in COLLECTIVES
        if any(k == kind for k, _, _ in found.values())
    }


def _chain(line: Instruction) -> str:
    """What the steps of one collective have in common. Those of a ``shard_map`` may all have the same channel."""
    found = re.search(r'chain_id="(\d+)"', line.rest) or re.search(r"channel_id=(\d+)", line.rest)
    return found[0] if found else ""


def products(text: str) -> dict[str, int]:
    """Matrix products and convolutions by the type of what they multiply, as ``{"s8": 18, "bf16": 9}``.

    The wider of two types counts, and a loop's body as often as it turns.
    """
    bodies = computations(text)
    total: dict[str, int] = {}
    for name, many in _runs(bodies, "ENTRY", 1):
        kinds = {line.name: found[1] for line in bodies[name] if (found := _SHAPE.match(line.kind))}
        for line in bodies[name]:
            if line.operation in ("dot", "convolution"):
                kind = max((kinds[part] for part in _operands(line)), key=_width)
                total[kind] = total.get(kind, 0) + many
    return total


def computations(text: str) -> dict[str, list[Instruction]]:
    """The program's functions by name; where it begins is called ENTRY, too."""
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] | None = None
    for line in _INDEX.sub("", text).splitlines():
        head = _HEAD.match(line)
        if head:
            current = found["ENTRY" if head[1] else head[2]] = []
        elif re.match(r"\}(, execution_thread=.*)?\s*$", line):  # a kernel may have lines of its own that begin so
            current = None
        elif current is not None:
            instruction = _instruction(line)
            if instruction is not None:
                current.append(instruction)
    return found


def _instruction(line: str) -> Instruction | None:
    found = _LINE.match(line)
    if found is None:
        return None
    text = found[2]
    kind, rest = _tuple(text) if text.startswith("(") else text.split(" ", 1)
    operation, _, rest = rest.strip().partition("(")
    return Instruction(kind, operation, rest, found[1])


def _tuple(text: str) -> tuple[str, str]:
    """A type in brackets, and what comes after it."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[: i + 1], text[i + 1 :]
    return text, ""


def _runs(bodies: Mapping[str, list[Instruction]], name: str, many: int) -> Iterator[tuple[str, int]]:
    """Each function that runs, and how often, for every place that calls it."""
    yield name, many
    for line in bodies.get(name, ()):
        if line.operation.endswith(("-done", "-update")) or line.operation in COLLECTIVES:
            continue
        turns = many * (_turns(line, bodies) if line.operation == "while" else 1)
        called = _CALLS.findall(line.rest) + [
            part.strip().lstrip("%") for group in _BRANCHES.findall(line.rest) for part in group.split(",")
        ]
        for inner in called:
            if inner in bodies and (f"condition=%{inner}" not in line.rest):
                yield from _runs(bodies, inner, turns)


def _turns(line: Instruction, bodies: Mapping[str, list[Instruction]]) -> int:
    """How often a loop turns: as the compiler says, or else up to the number that its condition compares with, by what
    a turn adds to what is compared."""
    found = re.search(r'known_trip_count"?:\s*\{"?n"?:\s*"?(\d+)', line.rest)
    if found is not None:
        return int(found[1])
    condition, body = (
        {inner.name: inner for inner in bodies.get(found[1] if found else "", ())}
        for found in (re.search(rf"{part}=%?([\w.\-]+)", line.rest) for part in ("condition", "body"))
    )
    limit = max((n for inner in condition.values() if (n := _constant(inner)) is not None), default=1)
    steps = [_step(inner, condition, body) for inner in condition.values() if inner.operation == "compare"]
    return math.ceil(limit / max(steps, default=1))


def _step(compare: Instruction, condition: Mapping[str, Instruction], body: Mapping[str, Instruction]) -> int:
    """What a turn adds to the part of the loop's tuple that ``compare`` reads; 1 where that can't be read."""
    places = [
        int(found[1])
        for name in _operands(compare)
        if name in condition and (found := re.search(r"index=(\d+)", condition[name].rest))
    ]
    last = list(body.values())[-1:]
    results = _operands(last[0]) if last and last[0].operation == "tuple" else []
    for place in places:
        grown = body.get(results[place]) if place < len(results) else None
        if grown is not None and grown.operation == "add":
            return max((_constant(body[name]) or 0 for name in _operands(grown) if name in body), default=1) or 1
    return 1


def _operands(line: Instruction) -> list[str]:
    return re.findall(r"%([\w.\-]+)", line.rest.split(")", 1)[0])


def _constant(line: Instruction) -> int | None:
    found = re.match(r"(\d+)\)", line.rest) if line.operation == "constant" else None
    return int(found[1]) if found else None


def _bytes(line: Instruction, kind: str, devices: int, *, half: bool) -> int:
    sizes = [_size(*shape) for shape in _SHAPE.findall(line.kind)]
    if line.operation.endswith("-start") and kind in ("all-gather", "collective-permute"):
        # What it takes stands before what it gives; a permutation has two numbers of its own behind that.
        sizes = [size for size in sizes if size > 4] or sizes
        sizes = sizes[len(sizes) // 2 :]
    size, group = sum(sizes), _group(line.rest, devices)
    if kind == "collective-permute":
        return size
    if kind == "reduce-scatter":
        return size * (group - 1)
    share = size * (group - 1) // group
    return 2 * share if kind == "all-reduce" and not half else share


def _size(kind: str, shape: str) -> int:
    return _width(kind) * math.prod(int(n) for n in shape.split(",") if n)


def _width(kind: str) -> int:
    return _BYTES.get(kind) or max(int(re.findall(r"\d+", kind)[0]) // 8, 1)


def _group(rest: str, devices: int) -> int:
    """How many devices meet."""
    named = re.search(r"replica_groups=mesh\[([^\]]*)\]\s*\{([^}]*)\}", rest)
    if named:
        sizes = {axis: int(size) for axis, size in re.findall(r"'([^']+)'=(\d+)", named[1])}
        return math.prod(sizes.get(axis, 1) for axis in re.findall(r"'([^']+)'", named[2]))
    listed = re.search(r"replica_groups=\[(\d+),(\d+)\]", rest)
    if listed:
        return int(listed[2])
    written = re.search(r"replica_groups=\{\{([\d,]+)\}", rest)
    return len(written[1].split(",")) if written else devices
