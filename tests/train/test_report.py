"""The report: strict JSON, a page that needs nothing else and runs nothing, tables worth reading."""

import base64
import io
import json
import wave
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mmjax import metrics
from mmjax.train import report

NASTY = "\"><script>alert('x')</script><img src=x onerror=alert(1)> & [bold]$\\frac{$ 猫"


def classification(names, seed=0, n=40):
    rng, k = np.random.default_rng(seed), len(names)
    targets = rng.integers(0, k, n).astype(np.int32)
    scores = (rng.normal(size=(n, k)) + 2 * np.eye(k)[targets]).astype(np.float32)
    rows = metrics.Rows(scores, targets, np.ones(n, bool))
    return metrics.Classification("label").compute(rows, names=names, resamples=50)


def regression():
    rng = np.random.default_rng(1)
    rows = metrics.Rows(np.float32(rng.normal(size=30)), np.float32(rng.normal(size=30)), np.ones(30, bool))
    return metrics.Regression("age").compute(rows, resamples=50)


def multilabel(names):
    rng, shape = np.random.default_rng(2), (30, len(names))
    rows = metrics.Rows(np.float32(rng.normal(size=shape)), np.float32(rng.random(shape) < 0.4), np.ones(shape, bool))
    return metrics.MultiLabel("tags").compute(rows, names=names, resamples=50)


def report_of(word="x", classes=("cat", "dog", "owl")):
    heads = {f"label{word}": classification(classes), "age": regression(), "tags": multilabel([f"loud{word}", "b"])}
    subsets = {f"image{word}+audio": {f"label{word}": classification(classes)}}
    return {
        "workdir": f"runs/{word}",
        "step": 1200,
        "seconds": 75.2,
        "parameters": 1234,
        "evaluations": {f"val{word}": {"count": 40, "heads": heads}},
        "subsets": {f"val{word}": subsets},
        "schema": [[f"image{word}", "image", f"file{word}", f"8 x 8{word}"]],
    }


def records_of(word="x"):
    points = [
        {"step": s, "loss": 200 / s**2, f"loss/label{word}": 1 / s, "lr": 0.1, "grad_norm": 1.0} for s in (5, 50, 100)
    ]
    figures = {f"label{word}": {"accuracy": {"value": 0.5}, "auroc": {"value": None}}}
    return points + [{"step": s, "evaluation": f"val{word}", "metrics": figures} for s in (50, 100)]


PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
TONE = np.float32(0.5 * np.sin(np.arange(4000) * 0.3))


def hardest_of(word="x"):
    signals = {
        f"image{word}": {"kind": "image", "value": PIXELS},
        "grey": {"kind": "image", "value": np.linspace(-2, 3, 64, dtype=np.float32).reshape(8, 8, 1)},
        "audio": {"kind": "audio", "value": TONE, "rate": 8000},
        "text": {"kind": "text", "value": f"words{word}"},
        "sensor": {"kind": "sensor", "value": np.random.default_rng(0).normal(size=(30, 3))},
        "table": {"kind": "table", "value": {f"age{word}": f"7{word}", "organ": None}},
        "gone": {"kind": "audio", "value": None},
    }
    answer = {"target": f"cat{word}", "prediction": f"dog{word}", "probability": 0.9, "loss": 2.5}
    labels = {"target": [f"loud{word}"], "prediction": [], "probability": 0.4, "loss": 1.5}
    return [{"row": f"val.csv row 3{word}", **answer, "signals": signals}, {"row": "val.csv row 4", **labels}]


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.open.append(tag)

    def handle_data(self, data):
        if "style" not in self.open[-1:]:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(folder, word="x", **options):
    report.write(folder, report_of(word, **options), hardest=hardest_of(word), records=records_of(word))
    return (folder / "report.html").read_text(encoding="utf-8")


def test_nothing_out_of_the_data_is_ever_markup(tmp_path):
    plain, nasty = Page(page_of(tmp_path)), Page(page_of(tmp_path, NASTY, classes=("cat", NASTY, "owl")))
    assert sorted(plain.tags) == sorted(nasty.tags)
    assert "script" not in nasty.tags
    assert not [name for _, name, _ in nasty.attributes if name.startswith("on")]
    assert nasty.text.count("<script>alert('x')</script>") > 20  # shown to the reader as what it is


def test_page_needs_nothing_else_and_runs_nothing(tmp_path):
    text = page_of(tmp_path)
    page = Page(text)
    addresses = [value for _, name, value in page.attributes if name in ("src", "href", "action", "srcset", "data")]
    assert addresses and all(value.startswith(("data:", "#")) for value in addresses)
    assert "http://" not in text and "https://" not in text and "@import" not in text
    policies = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content")]
    assert any(policy.startswith("default-src 'none';") for policy in policies)


def test_page_shows_what_happened(tmp_path):
    page = Page(page_of(tmp_path))
    accuracy = report_of()["evaluations"]["valx"]["heads"]["labelx"]["accuracy"]
    for part in (
        f"{100 * accuracy['value']:.1f} %",
        f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f} %",
        "1,200 steps · 1 min 15 s · 1,234 parameters",
        "Learning curves",
        "Confusion: answers down, predictions across",
        "Each class",
        "Each label",
        "By what is given",
        "said dogx (90 %), is catx",
        "val.csv row 3x",
        "wordsx",
        "missing",
        "file",
    ):
        assert part in page.text.replace(" , ", ", ").replace("( ", "("), part
    assert page.tags.count("svg") == 6  # loss, evaluations, rate, norm; waveform, sensor
    assert page.tags.count("audio") == 1


def test_signals_are_shown_as_they_are(tmp_path):
    data = [value for tag, name, value in Page(page_of(tmp_path)).attributes if name == "src"]
    color, grey, spectrogram, sound = (io.BytesIO(base64.b64decode(value.partition("base64,")[2])) for value in data)
    np.testing.assert_array_equal(np.asarray(Image.open(color)), PIXELS)
    stretched = np.asarray(Image.open(grey))
    assert stretched.shape == (8, 8) and stretched.min() == 0 and stretched.max() == 255
    assert Image.open(spectrogram).size[1] == 129
    with wave.open(sound) as file:
        assert file.getframerate() == 8000
        samples = np.frombuffer(file.readframes(-1), "<i2") / 32767
    np.testing.assert_allclose(samples, TONE, atol=1e-4)


def test_spectrogram_has_low_tones_at_the_foot(tmp_path):
    from mmjax.train.page import plot

    low = np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)
    png = base64.b64decode(plot.spectrogram(low, rate=8000).partition("base64,")[2])
    brightness = np.asarray(Image.open(io.BytesIO(png)), float).sum(axis=(1, 2))
    assert np.argmax(brightness[::-1]) / len(brightness) == pytest.approx(500 / 4000, abs=0.02)


def test_json_is_the_report_and_strict(tmp_path):
    page_of(tmp_path)
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    hardest = found.pop("hardest")
    assert found == report_of()
    assert hardest[0] == {name: value for name, value in hardest_of()[0].items() if name != "signals"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_no_number_is_refused_and_the_old_report_stays(tmp_path):
    page_of(tmp_path)
    before = (tmp_path / "report.json").read_bytes()
    with pytest.raises(ValueError):
        report.write(tmp_path, {**report_of(), "seconds": 1.0, "loss": float("nan")})
    assert (tmp_path / "report.json").read_bytes() == before


def test_same_run_gives_the_same_page(tmp_path):
    assert page_of(tmp_path) == page_of(tmp_path)


def test_bare_report_is_enough(tmp_path):
    report.write(tmp_path, {"workdir": None, "step": 1, "seconds": 0.5, "evaluations": {}})
    assert "Learning curves" not in (tmp_path / "report.html").read_text()
    assert report.tables({"workdir": None, "step": 1, "seconds": 0.5, "evaluations": {}})


def test_curves_come_from_the_folder(tmp_path):
    lines = [json.dumps(record) for record in records_of()]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    report.write(tmp_path, report_of())
    assert "Learning curves" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("length", [1, 2, 100])
def test_tiny_signals_are_shown_too(tmp_path, length):
    signals = {
        "audio": {"kind": "audio", "value": np.zeros(length, np.float32)},
        "sensor": {"kind": "sensor", "value": np.full((length, 1), np.nan)},
        "image": {"kind": "image", "value": np.full((1, length, 1), 7, np.float32)},
        "table": {"kind": "table", "value": np.arange(length, dtype=np.float32)},
        "empty": {"kind": "audio", "value": np.zeros(0, np.float32)},
    }
    report.write(
        tmp_path, report_of(), hardest=[{"row": "row 1", "target": 1.5, "prediction": 2.0, "signals": signals}]
    )
    page = Page((tmp_path / "report.html").read_text())
    assert "missing" in page.text and "1.5" in page.text


def test_many_classes_show_their_confusions_alone(tmp_path):
    names = [f"class {i}" for i in range(50)]
    report.write(tmp_path, {**report_of(), "evaluations": {"val": {"heads": {"label": classification(names)}}}})
    text = (tmp_path / "report.html").read_text()
    assert 'class="confusion"' not in text and "taken for" in text


def test_tables_are_worth_reading(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    report.show(report_of("", classes=("cat", "[red]dog", "owl")))
    out, err = capsys.readouterr()
    assert out == ""
    metrics_of = report_of("", classes=("cat", "[red]dog", "owl"))["evaluations"]["val"]["heads"]["label"]
    accuracy, f1 = metrics_of["accuracy"], metrics_of["per_class"]["[red]dog"]["f1"]
    lines = [" ".join(line.split()) for line in err.splitlines()]
    interval = f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f} %"
    assert any(f"accuracy {100 * accuracy['value']:.1f} % {interval}" in line for line in lines)
    assert any(f"[red]dog {100 * f1['value']:.1f} %" in line for line in lines)
    for part in (
        "val · label (40 rows)",
        "always the majority answer (",
        "R²",
        "image+audio",
        "1,200 steps · 1 min 15 s",
    ):
        assert any(part in line for line in lines), part


def test_large_class_tables_stay_off_the_terminal(capsys):
    names = [f"class {i}" for i in range(30)]
    report.show(
        {**report_of(), "evaluations": {"val": {"heads": {"label": classification(names, n=90)}}}, "subsets": {}}
    )
    assert "each class" not in capsys.readouterr().err
