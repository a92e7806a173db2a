"""The walls of the house, read off the source with ``ast``: who may import whom, and what stands where."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parents[1]
PACKAGE = HOUSE / "mmjax"

# A room may import rooms on lower floors only, so neighbours are strangers.
FLOORS = {
    "core": 0,
    "nn": 1,
    "encoders": 2,
    "fusion": 2,
    "heads": 2,
    "decoders": 2,
    "model": 3,
    "objectives": 3,
    "metrics": 3,
    "flops": 3,
    "views": 3,
    "zoo": 4,
    "train": 4,
    "predict": 5,
    "show": 5,
    "generate": 5,
    "explain": 5,
    "compress": 5,
    "export": 5,
    "fit": 5,
    "compare": 6,
    "cli": 7,
}
# Rooms that see less than all the floors below them. The data room is a side tower.
NARROW = {
    "data": {"core"},
    "model": {"core"},
    "objectives": {"core"},
    "metrics": {"core"},
    "flops": {"core"},
    "views": {"core", "nn"},
    "zoo": {"core", "nn", "encoders", "fusion", "heads", "decoders", "model"},
    "train": {"core", "objectives", "metrics", "flops", "data"},
}
SIDE_TOWERS = {"data": 4}  # open to rooms from this floor up

JIT_FROM = 4  # the lowest floor where jax.jit may stand
# The engine's hands on the world: the only files below floor 5 that may touch clocks, files and devices.
ENGINE = {
    f"train/{name}"
    for name in (
        *("loop", "log", "report", "checkpoint", "folder", "place", "sharding", "signals", "summary", "seeds"),
        *("ledger", "profile", "cluster", "compiled"),
    )
}
FORBIDDEN_NAMES = {"util", "common", "helper", "misc", "base", "registry", "factory"}
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

MESH_WORDS = {"make_mesh", "set_mesh", "NamedSharding", "PartitionSpec", "AxisType"}
DEVICE_WORDS = {"devices", "local_devices", "device_count", "local_device_count", "process_index", "process_count"}
CLOCKS = {"time", "datetime"}
FILES = {"os", "pathlib", "shutil", "tempfile", "glob"}
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    """Every file of the package with its tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"), str(path))


def room(path: Path) -> str:
    """The room that a file belongs to; the package's own ``__init__`` is the front door."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def at(path: Path, node: ast.AST) -> str:
    """A place in the source, for messages."""
    return f"{path.relative_to(HOUSE)}:{getattr(node, 'lineno', 1)}"


def imports(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Full dotted names that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node, name.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute in this house"
            for name in node.names:
                yield node, f"{node.module}.{name.name}"


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of an attribute chain, else the empty string."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def mentions(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Everything that a module imports or reaches by attribute, as dotted names with aliases undone."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {n.asname: n.name for n in node.names if n.asname}
        elif isinstance(node, ast.ImportFrom):
            aliases |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
    yield from imports(tree)
    for node in ast.walk(tree):
        name = dotted(node)
        if name:
            head, _, tail = name.partition(".")
            full = aliases.get(head, head)
            yield node, f"{full}.{tail}" if tail else full


def open_to(of: str) -> set[str]:
    """Rooms that ``of`` may import."""
    if of in NARROW:
        return NARROW[of] | {of}
    below = {name for name, floor in FLOORS.items() if floor < FLOORS[of]}
    towers = {name for name, floor in SIDE_TOWERS.items() if FLOORS[of] >= floor}
    return below | towers | {of}


def test_every_room_is_on_the_plan():
    assert {room(path) for path, _ in sources()} - {"__init__"} <= set(FLOORS) | set(SIDE_TOWERS)


def test_imports_point_strictly_down():
    wrong = []
    for path, tree in sources():
        if room(path) == "__init__":
            continue
        for node, name in imports(tree):
            parts = name.split(".")
            if parts[0] != "mmjax" or (name == "mmjax" and room(path) == "cli"):
                continue
            if name == "mmjax" or parts[1] not in open_to(room(path)):
                wrong.append(f"{at(path, node)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_front_door_imports_nothing():
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    assert {name.split(".")[0] for _, name in imports(tree)} <= {"importlib", "typing"}


def test_data_is_numpy_only():
    wrong = [
        f"{at(path, node)} uses {name}"
        for path, tree in sources()
        if room(path) == "data"
        for node, name in mentions(tree)
        if name.split(".")[0] in ("jax", "flax", "optax", "orbax")
    ]
    assert not wrong, "\n".join(wrong)


def test_compilation_stands_in_the_engine_room_and_above():
    wrong = []
    for path, tree in sources():
        if FLOORS.get(room(path), 0) >= JIT_FROM and room(path) != "zoo":
            continue
        wrong += [
            f"{at(path, node)}: {name}"
            for node, name in mentions(tree)
            if name in ("jax.jit", "flax.linen.jit") or name.startswith("jax.jit.")
        ]
    assert not wrong, "\n".join(wrong)


def test_meshes_stand_in_train_alone():
    wrong = []
    for path, tree in sources():
        if room(path) == "train":
            continue
        for node, name in mentions(tree):
            parts = name.split(".")
            if parts[0] == "jax" and ("sharding" in parts or MESH_WORDS & set(parts)):
                wrong.append(f"{at(path, node)}: {name}")
    assert not wrong, "\n".join(wrong)


def test_clocks_files_and_devices_stay_in_the_engine_room():
    wrong = []
    for path, tree in sources():
        place = str(path.relative_to(PACKAGE).with_suffix(""))
        if FLOORS.get(room(path), 0) >= 5 or room(path) in ("data", "__init__") or place in ENGINE:
            continue
        for node, name in mentions(tree):
            parts = name.split(".")
            touches = parts[0] in CLOCKS | FILES or name == "open"
            touches |= parts[0] == "jax" and bool(DEVICE_WORDS & set(parts[1:2]))
            if touches:
                wrong.append(f"{at(path, node)}: {name}")
    assert not wrong, "\n".join(wrong)


def test_nothing_read_can_run():
    wrong = []
    for path, tree in sources():
        wrong += [f"{at(path, n)}: {name}" for n, name in mentions(tree) if name.split(".")[0] in UNSAFE]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                wrong.append(f"{at(path, node)}: {node.func.id}")
            for keyword in node.keywords:
                value = keyword.value
                if keyword.arg == "allow_pickle" and not (isinstance(value, ast.Constant) and value.value is False):
                    wrong.append(f"{at(path, node)}: allow_pickle")
    # A recipe is the user's own program; the command runs it as Python would.
    wrong = [line for line in wrong if not (line.startswith("mmjax/cli/recipe.py") and line.endswith("exec"))]
    assert not wrong, "\n".join(wrong)


def test_outworn_jax_is_gone():
    wrong = []
    for path, tree in sources():
        for node, name in mentions(tree):
            if name in ("jax.pmap", "jax.tree_map", "jax.tree_util.tree_map") or name.endswith("flax.training"):
                wrong.append(f"{at(path, node)}: {name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.With):
                wrong += [f"{at(path, node)}: with mesh" for item in node.items if _is_mesh(item.context_expr)]
    assert not wrong, "\n".join(wrong)


def _is_mesh(node: ast.expr) -> bool:
    name = dotted(node).rpartition(".")[2]
    return "mesh" in name.lower() and name != "set_mesh"


def test_importing_changes_nothing():
    """No module sets jax's configuration or the environment as it is loaded."""
    wrong = []
    for path, tree in sources():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            for inner in ast.walk(node):
                name = dotted(inner)
                if name in ("jax.config.update", "os.environ", "warnings.filterwarnings", "logging.basicConfig"):
                    wrong.append(f"{at(path, inner)}: {name}")
    assert not wrong, "\n".join(wrong)


def test_files_and_functions_are_short():
    wrong = []
    for path, tree in sources():
        lines = len(path.read_text("utf-8").splitlines())
        if lines > LONGEST_FILE:
            wrong.append(f"{path.relative_to(HOUSE)} has {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    wrong.append(f"{at(path, node)} {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)


def test_names_say_what_is_inside():
    places = [PACKAGE, HOUSE / "experiments", HOUSE / "tools", HOUSE / "tests"]
    wrong = [
        str(path.relative_to(HOUSE))
        for place in places
        for path in place.rglob("*")
        if set(re.split(r"[_.]", path.stem.lower())) & (FORBIDDEN_NAMES | {f"{n}s" for n in FORBIDDEN_NAMES})
    ]
    assert not wrong, "\n".join(wrong)


def test_everything_public_says_what_it_is():
    """Modules, classes and functions; a method that plays a joint's part is described at the joint."""
    wrong = []
    for path, tree in sources():
        if not ast.get_docstring(tree):
            wrong.append(f"{path.relative_to(HOUSE)}: the module")
        for node in tree.body:
            named = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if named and not ast.get_docstring(node):
                wrong.append(f"{at(path, node)}: {node.name}")
    assert not wrong, "\n".join(wrong)


def test_recipes_are_described():
    """Every recipe has its row in experiments/README.md, and every row its recipe."""
    recipes = {path.name for path in (HOUSE / "experiments").glob("*.py")}
    readme = HOUSE / "experiments" / "README.md"
    text = readme.read_text("utf-8") if readme.exists() else ""
    described = set(re.findall(r"^\|[ `\[]*(\w+\.py)", text, re.MULTILINE))
    assert described == recipes, f"without a row: {recipes - described}; without a recipe: {described - recipes}"


def test_importing_is_light():
    """``import mmjax`` costs under 0.3 s beyond jax's own and loads nothing heavy (best of three)."""
    code = (
        "import sys, time, jax\n"
        "known = set(sys.modules); start = time.perf_counter()\n"
        "import mmjax\n"
        "print(time.perf_counter() - start, *(set(sys.modules) - known))"
    )
    best = float("inf")
    for _ in range(3):
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HOUSE)
        seconds, *loaded = out.stdout.split()
        assert {name.split(".")[0] for name in loaded} <= {"mmjax", "importlib", "typing"}
        best = min(best, float(seconds))
        if best < 0.3:
            return
    raise AssertionError(f"import mmjax took {best:.2f} s")
