"""Two real processes with collectives between them: the same losses and the same figures as one."""

import json
import socket

import numpy as np

CODE = """
import dataclasses, json, os, sys
import jax
if {processes} > 1:
    jax.distributed.initialize("localhost:{port}", {processes}, {index})
import mmjax
from mmjax import train
experiment = config()
# Plain descent: Adam would blow the rounding of a gradient that is truly zero up to its whole rate.
optim = dataclasses.replace(experiment.optim, rule=train.Sgd(), lr=0.05, average=0.0)
run = dataclasses.replace(experiment.run, save_every=4)
experiment = dataclasses.replace(experiment, optim=optim, run=run)
result = mmjax.train(experiment, workdir={workdir!r}, quiet=True)
assert len(jax.devices()) == 2 and jax.process_count() == {processes}
if jax.process_index() == 0:
    print(json.dumps(result.evaluations["val"]))
"""


def test_two_processes_are_one(start, tmp_path):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    both = str(tmp_path / "both")
    two = [start(CODE.format(processes=2, port=port, index=i, workdir=both), devices=1) for i in range(2)]
    alone = str(tmp_path / "alone")
    said = [p.communicate(timeout=300) for p in two]
    assert [p.returncode for p in two] == [0, 0], said[0][1][-3000:]
    one = start(CODE.format(processes=1, port=port, index=0, workdir=alone), devices=2)
    out, err = one.communicate(timeout=300)
    assert one.returncode == 0, err

    np.testing.assert_allclose(curve(both), curve(alone), rtol=0, atol=1e-5)
    left, right = json.loads(said[0][0].splitlines()[-1]), json.loads(out.splitlines()[-1])
    assert left["count"] == right["count"] > 300
    mine, theirs = left["heads"]["label"], right["heads"]["label"]
    assert mine["confusion"] == theirs["confusion"]
    np.testing.assert_allclose(mine["log_loss"]["value"], theirs["log_loss"]["value"], atol=1e-5)


def curve(folder):
    with open(f"{folder}/metrics.jsonl", encoding="utf-8") as lines:
        return [row["loss"] for row in map(json.loads, lines) if "loss" in row]
