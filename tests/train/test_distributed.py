"""Real processes with collectives between them: the same losses and figures as one, and nobody waits for the dead."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmjax.core import UserError
from mmjax.train import cluster

HOUSE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The tiny run by plain descent: Adam would blow the rounding of a gradient that is truly zero up to its rate."""
    from train.conftest import RECIPE

    path = tmp_path_factory.mktemp("recipe") / "tiny.py"
    optim = "Optim(lr=0.05, warmup=2, rule=Sgd())"
    text = RECIPE.replace("Optim(lr=3e-3, warmup=2, average=0.9)", optim).replace("Run\n", "Run, Sgd\n", 1)
    bottleneck = "fusion.Bottleneck(width=16, depth=1, heads=2, bottlenecks=2)"
    path.write_text(text.replace(bottleneck, "fusion.Late(width=16)"))
    return path


def command(words, *, devices=1, before="", **env):
    """The command in a process of its own, compiled as this one compiles (bits depend on it)."""
    code = f"import sys\nfrom mmjax.cli import main\n{before}\nsys.exit(main({list(map(str, words))!r}))"
    own = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": str(HOUSE)}
    own["JAX_COMPILATION_CACHE_DIR"] = str(HOUSE / ".jax_cache")
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ | own | env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def slurm(processes):
    """What srun tells each of so many tasks on one node."""
    own = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(processes)}
    own["JAX_COORDINATOR_PORT"] = str(free_port())
    return [own | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(processes)]


def kubernetes(processes):
    """What the pods of an indexed job are told (tools/launch/kubernetes.yaml)."""
    own = {"JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}", "JAX_NUM_PROCESSES": str(processes)}
    return [own | {"JOB_COMPLETION_INDEX": str(i)} for i in range(processes)]


@pytest.fixture(scope="module")
def alone(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    out, err = (process := command(["train", recipe, "--workdir", folder], devices=2)).communicate(timeout=400)
    assert process.returncode == 0, err[-3000:]
    return curve(folder), json.loads(out.splitlines()[-1])


@pytest.mark.parametrize(
    "told, flags",
    [(slurm(2), ()), (kubernetes(4), ("--mesh.context", "2", "--mesh.tensor", "2"))],
    ids=["2", "4"],
)
def test_several_processes_are_one(recipe, alone, tmp_path, told, flags):
    words = ["train", recipe, "--workdir", tmp_path / "run", "--run.save_every", "4", *flags]
    processes = [command(words, **env) for env in told]
    said = [p.communicate(timeout=500) for p in processes]
    assert [p.returncode for p in processes] == [0] * len(told), said[0][1][-3000:]
    np.testing.assert_allclose(curve(tmp_path / "run"), alone[0], rtol=0, atol=1e-5)
    heard = [line for out, _ in said[1:] for line in out.splitlines() if not line.startswith("[Gloo]")]
    assert not heard  # one speaks for all
    found = json.loads(said[0][0].splitlines()[-1])["evaluations"]["val"]
    expected = alone[1]["evaluations"]["val"]
    assert found["count"] == expected["count"] > 300
    mine, theirs = found["heads"]["label"], expected["heads"]["label"]
    assert mine["confusion"] == theirs["confusion"]
    np.testing.assert_allclose(mine["log_loss"]["value"], theirs["log_loss"]["value"], atol=1e-5)


FAILING = """
from mmjax.core import UserError
from mmjax.train import place
put, calls = place.put, []
def failing(*given, **named):
    calls.append(1)
    if len(calls) == 3:
        raise UserError("row 7 of train.csv: cut off")
    return put(*given, **named)
place.put = failing
"""


@pytest.mark.parametrize("when", ["before", "amid"])
def test_a_mistake_in_one_process_ends_all(recipe, tmp_path, when):
    port, begun = free_port(), time.monotonic()
    company = ["--coordinator", f"localhost:{port}", "--processes", "2"]
    missing = tmp_path / "missing.py"
    processes = [
        command(
            [
                "train",
                missing if i and when == "before" else recipe,
                "--workdir",
                tmp_path / "run",
                *company,
                "--process",
                i,
            ],
            before=FAILING if i and when == "amid" else "",
        )
        for i in range(2)
    ]
    said = [p.communicate(timeout=400)[1] for p in processes]
    assert [p.returncode for p in processes] == [2, 2], said
    told = "there is no such recipe" if when == "before" else "row 7 of train.csv: cut off"
    assert f"mmjax: process 1: {missing if when == 'before' else ''}" in said[0] and told in said[0]
    assert told in said[1] and "Traceback" not in said[0] + said[1]
    assert time.monotonic() - begun < 300  # and not when some heartbeat is missed


def test_one_process_needs_no_other():
    cluster.join("localhost:1", 1, 0)
    with pytest.raises(UserError, match="want --coordinator"):
        cluster.join("", 2, 0)


def test_processes_that_cannot_meet_are_told(recipe):
    for words, told in (
        (["--processes", "2"], "--processes and --process want --coordinator HOST:PORT"),
        (["--coordinator", "localhost:1", "--processes", "2", "--process", "5"], "did not find one another"),
    ):
        process = command(["train", recipe, *words])
        _, err = process.communicate(timeout=200)
        assert process.returncode == 2 and err.startswith("mmjax: ") and told in err and err.count("\n") == 1, err


def curve(folder):
    with open(f"{folder}/metrics.jsonl", encoding="utf-8") as lines:
        return [row["loss"] for row in map(json.loads, lines) if "loss" in row]
