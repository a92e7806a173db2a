"""The log holds each step once, in strict JSON, and speaks on standard error alone."""

import json
import re

import pytest

from mmjax.train import log as room
from mmjax.train.log import Log

RESULT = {
    "count": 4,
    "heads": {
        "label": {
            "accuracy": {"value": 0.75, "low": 0.5, "high": 1.0},
            "auroc": {"value": None, "low": None, "high": None, "reason": "all rows have the same answer"},
            "per_class": {"cat": {"f1": {"value": 1.0}, "support": 4}},
            "confusion": {"labels": ["cat"], "matrix": [[4]]},
            "count": 4,
        }
    },
}


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def write(folder, steps, *, total=6, start=0):
    with Log(folder, steps=total, start=start, quiet=True) as log:
        for step in steps:
            log.step(step, {"loss": 1 / step, "lr": 0.1}, examples=32)
            log.evaluation(step, "val", RESULT)


def test_each_point_is_a_line_of_strict_json(tmp_path):
    write(tmp_path, [1, 2])
    first, evaluation, *_ = records(tmp_path)
    assert first.pop("examples_per_second") > 0
    assert first == {"step": 1, "loss": 1.0, "lr": 0.1}
    label = RESULT["heads"]["label"]
    figures = {name: label[name] for name in ("accuracy", "auroc")}
    assert evaluation == {"step": 1, "evaluation": "val", "metrics": {"label": figures}}
    assert room.read(tmp_path) == records(tmp_path)


def test_lines_are_there_before_the_log_is_closed(tmp_path):
    with Log(tmp_path, steps=3, quiet=True) as log:
        log.step(1, {"loss": 2.0}, examples=1)
        assert records(tmp_path)[0]["loss"] == 2.0


def test_resumed_run_has_each_step_once(tmp_path):
    write(tmp_path, [1, 2, 3, 4])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 5, "lo')  # killed in the middle of a line
    write(tmp_path, [3, 4, 5, 6], start=2)
    assert [r["step"] for r in records(tmp_path) if "evaluation" not in r] == [1, 2, 3, 4, 5, 6]
    assert [r["step"] for r in records(tmp_path) if "evaluation" in r] == [1, 2, 3, 4, 5, 6]


def test_finished_run_evaluated_again_has_its_last_evaluation_once(tmp_path):
    write(tmp_path, [5, 6])
    with Log(tmp_path, steps=6, start=6, quiet=True) as log:
        log.evaluation(6, "val", RESULT)
    assert [(r["step"], "evaluation" in r) for r in records(tmp_path)] == [(5, False), (5, True), (6, False), (6, True)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_no_number_is_never_written_in_silence(tmp_path, bad):
    with Log(tmp_path, steps=3, quiet=True) as log, pytest.raises(ValueError, match=r"loss is (nan|inf) at step 2"):
        log.step(2, {"loss": bad}, examples=1)
    assert records(tmp_path) == []


def test_tensorboard_gets_every_figure(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    write(tmp_path, [1])
    (path,) = (tmp_path / "tensorboard").iterdir()
    data, found = path.read_bytes(), {}
    while data:  # records: length, its checksum, the event, its checksum
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        found |= {value.tag: (event.step, value.simple_value) for value in event.summary.value}
        data = data[16 + length :]
    assert found["loss"] == (1, 1.0) and found["val/label/accuracy"] == (1, 0.75)
    assert "val/label/auroc" not in found


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(None, [1, 2])
    assert not list(tmp_path.iterdir())


def test_without_a_terminal_each_point_is_one_plain_line(capsys):
    with Log(None, steps=100) as log:
        for step in (10, 20, 30):
            log.tick(step - 1)
            log.step(step, {"loss": 0.5}, examples=320)
        log.evaluation(30, "val", RESULT)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and len(lines) == 4 and "\x1b" not in err
    pattern = r"step %d/100  loss 0\.5  [\d,]+ examples/s"
    assert re.fullmatch(pattern % 10, lines[0]), lines
    for step, line in zip((20, 30), lines[1:], strict=False):
        assert re.fullmatch(pattern % step + r"  \d:\d\d left", line), lines
    assert lines[3] == "step 30  val: label accuracy 0.75"


def test_quiet_is_quiet(capsys):
    with Log(None, steps=2, quiet=True) as log:
        log.step(1, {"loss": 0.5}, examples=1)
        log.say("hello")
    assert capsys.readouterr() == ("", "")


def test_terminal_gets_a_bar_with_loss_and_rate(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with Log(None, steps=100) as log:
        log.step(50, {"loss": 0.25}, examples=320)
        log.evaluation(50, "val", RESULT)
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("50/100", "loss 0.25", "examples/s", "val: label accuracy 0.75"):
        assert part in err, part
