"""A run that was stopped, in whatever way, goes on as if it had not been: bit for bit."""

import json
import shutil
import signal
import time

import jax
import numpy as np
import pytest

import mmjax
from mmjax.core import UserError
from mmjax.train import Interrupted, checkpoint
from mmjax.train.folder import CHECKPOINTS, Folder
from mmjax.train.prepare import prepare


def saved(folder, experiment):
    """Everything that is saved at the last step: state leaves by path, and the data position."""
    p = prepare(experiment)
    with checkpoint.opened(folder / CHECKPOINTS) as checkpoints:
        state, position = checkpoints.restore(checkpoint.abstract(p.shapes, p.shardings))
    state = state.replace(key=jax.random.key_data(state.key))
    return {str(k): np.asarray(v) for k, v in jax.tree_util.tree_leaves_with_path(state)}, position


def assert_same(one, other):
    (left, here), (right, there) = one, other
    assert left.keys() == right.keys() and here == there
    for path in left:
        np.testing.assert_array_equal(left[path], right[path], err_msg=path)


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.fixture(scope="module")
def straight(tiny, tmp_path_factory):
    """Eight steps without a break."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    mmjax.train(tiny(), workdir=folder, quiet=True)
    return folder


def test_killed_at_any_step_goes_on_bit_for_bit(tiny, start, straight, tmp_path):
    folder = tmp_path / "killed"
    code = f"""
import dataclasses, mmjax
experiment = config()
experiment = dataclasses.replace(experiment, run=dataclasses.replace(experiment.run, save_every=1))
mmjax.train(experiment, workdir={str(folder)!r}, quiet=True)
"""
    process = start(code, devices=len(jax.devices()))
    deadline = time.monotonic() + 240
    while not any((folder / CHECKPOINTS / str(n)).exists() for n in (3, 4, 5)):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    mmjax.train(tiny(), workdir=folder, quiet=True)
    assert_same(saved(folder, tiny()), saved(straight, tiny()))
    assert losses(folder) == losses(straight)


def test_ctrl_c_saves_and_leaves(tiny, straight, tmp_path, monkeypatch):
    folder = tmp_path / "stopped"
    from mmjax.train.signals import Wish

    asked = iter([0, 0, signal.SIGINT])
    monkeypatch.setattr(Wish, "agreed", lambda self: next(asked))
    with pytest.raises(Interrupted, match="SIGINT after step 3") as stop:
        mmjax.train(tiny(), workdir=folder, quiet=True)
    assert stop.value.status == 130
    monkeypatch.undo()
    mmjax.train(tiny(), workdir=folder, quiet=True)
    assert_same(saved(folder, tiny()), saved(straight, tiny()))


def test_ctrl_c_while_it_is_evaluated_for_the_last_time(tiny, tmp_path, monkeypatch):
    from mmjax.train.evaluate import Evaluation

    measure = Evaluation.__call__

    def interrupted(self, weights, **options):
        signal.raise_signal(signal.SIGINT)
        return measure(self, weights, **options)

    monkeypatch.setattr(Evaluation, "__call__", interrupted)
    with pytest.raises(Interrupted, match="SIGINT after step 2; saved") as stop:
        mmjax.train(tiny(run={"steps": 2}), workdir=tmp_path / "run", quiet=True)
    assert stop.value.status == 130 and checkpoint.latest(tmp_path / "run" / CHECKPOINTS) == 2


def test_sigterm_reaches_a_running_process(start, tmp_path):
    folder = tmp_path / "term"
    code = f"""
import dataclasses, mmjax, sys
experiment = config()
experiment = dataclasses.replace(experiment, run=dataclasses.replace(experiment.run, steps=100_000, log_every=1))
try:
    mmjax.train(experiment, workdir={str(folder)!r}, quiet=True)
except mmjax.train.Interrupted as stop:
    print(stop)
    sys.exit(stop.status)
"""
    process = start(code)
    deadline = time.monotonic() + 240
    while not (folder / "metrics.jsonl").exists() or not losses(folder):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    step = int(out.split("after step ")[1].split(";")[0])
    assert (folder / CHECKPOINTS / str(step)).is_dir()


def test_another_experiment_is_refused(tiny, straight):
    changed = tiny(optim={"lr": 1.0})
    before = sorted(straight.rglob("*"))
    with pytest.raises(UserError, match=r"begun with optim\.lr=0\.003, now 1\.0; choose another --workdir"):
        mmjax.train(changed, workdir=straight, quiet=True)
    assert sorted(straight.rglob("*")) == before


def test_what_may_change_is_written_anew_but_fewer_steps_are_refused(tiny, straight, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(straight, folder)
    with pytest.raises(UserError, match=r"has done 8 steps already, and run\.steps=7; set it to 8 or more"):
        mmjax.train(tiny(run={"steps": 7}), workdir=folder, quiet=True)
    assert Folder(folder).experiment().run.log_every == 1
    mmjax.train(tiny(run={"log_every": 4}), workdir=folder, quiet=True)
    assert Folder(folder).experiment().run.log_every == 4


def test_a_folder_of_a_run_at_work_is_refused(tiny, straight):
    with Folder(straight).held(), pytest.raises(UserError, match="another run is at work in"):
        mmjax.train(tiny(), workdir=straight, quiet=True)
    with Folder(straight).held():  # let go, whatever happened
        pass


def test_a_folder_of_something_else_is_refused(tiny, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and not a run folder"):
        mmjax.train(tiny(), workdir=tmp_path, quiet=True)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_the_first_bad_step_is_named_and_never_saved(tiny, tmp_path):
    folder = tmp_path / "blown"
    wild = tiny(optim={"lr": 1e38, "clip": 0.0, "warmup": 0, "average": 0.0}, run={"save_every": 1, "steps": 50})
    with pytest.raises(FloatingPointError, match=r"(loss|grad_norm) is (nan|inf) at step \d+; the last good state"):
        mmjax.train(wild, workdir=folder, quiet=True)
    p = prepare(wild)
    with checkpoint.opened(folder / CHECKPOINTS) as checkpoints:
        if checkpoints.latest() is not None:
            state, _ = checkpoints.restore(checkpoint.abstract(p.shapes, p.shardings))
            assert np.isfinite(losses(folder)[int(state.step)])
