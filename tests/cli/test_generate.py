"""``mmjax generate``: texts from a run, and mistakes in one line."""

import json

import pytest

from mmjax import Experiment, datasets, decoders, objectives, train
from mmjax.cli import main
from mmjax.train import Evaluator, Optim, Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small GPT that learned one line by heart."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "line.txt").write_text("abcabcabcabc. " * 40, encoding="utf-8")
    data = datasets.Texts(str(folder / "line.txt"), length=14, batch=8, stride=1)
    experiment = Experiment(
        model=decoders.GPT(258, length=16, width=32, depth=1, heads=2),
        data=data,
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(datasets.Texts(str(folder / "line.txt"), length=14, batch=8))},
        optim=Optim(lr=1e-2),
        run=Run(steps=150),
    )
    result = train(experiment, workdir=folder / "run", quiet=True)
    found = result.evaluations["val"]["heads"]["next"]
    assert found["loss"]["value"] < 0.5 and found["perplexity"]["value"] < 2
    assert found["bits_per_byte"]["value"] == pytest.approx(found["loss"]["value"] / 0.6931, rel=1e-3)
    return folder / "run"


def test_texts_go_on(run, capsys):
    words = ["generate", str(run), "--prompt", ". abcabcab", "--tokens", "30", "--temperature", "0", "--stop", "."]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"prompt": ". abcabcab", "text": "cabc", "tokens": 5, "ended": "stop"}
    assert err == ". abcabcabcabc\n"
    assert main([*words, "--prompt", ". abca", "--beams", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["prompt"] for line in lines] == [". abcabcab", ". abca"] and lines[1]["text"] == "bcabcabc"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--prompt TEXT is missing"),
        (["--prompt", "a\udcff"], "a prompt holds half a character"),
        (["--prompt", "a", "--top_p", "2"], "top_p=2.0 must be above 0"),
        (["--prompt", "a", "--tokens", "0"], "tokens=0 must be 1 or more"),
        (["--prompt", "a", "--temprature", "1"], "did you mean --temperature?"),
    ],
)
def test_mistakes_are_told(run, capsys, words, message):
    assert main(["generate", str(run), *words]) == 2
    assert message in capsys.readouterr().err


def test_texts_are_measured(run, capsys):
    assert main(["evaluate", str(run), "--data", str(run.parent / "line.txt")]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["heads"]["next"]
    assert found["bits_per_byte"]["low"] <= found["bits_per_byte"]["value"] < 1


def test_a_run_that_continues_texts_does_not_predict(run, capsys):
    assert main(["predict", str(run), "--text", "a"]) == 2
    assert "use `mmjax generate`" in capsys.readouterr().err
