"""What does not fit together is refused before there is a run folder."""

import dataclasses
import json

import pytest

import mmjax
from mmjax import datasets, encoders, fields, heads, metrics, nn, objectives
from mmjax.core import UserError
from mmjax.train import Evaluator, Mesh, Quantized, place
from mmjax.train.evaluate import standard
from mmjax.train.folder import CONFIG, SCHEMA, Folder
from mmjax.train.prepare import check_sizes, fitted


def evaluator(batch=64, **changes):
    return {"evaluators": {"val": Evaluator(datasets.Digits("val", batch=batch), **changes)}}


WRONG = {
    "too many classes": (
        lambda e: dataclasses.replace(e, model=e.model.clone(heads={"label": heads.Classify(classes=11)})),
        r"model\.heads\.label\.classes=11, but the training data has 10",
    ),
    "an objective of another kind": (
        lambda e: dataclasses.replace(e, objectives={"x": objectives.SquaredError("label")}),
        r"objectives\.x is for targets of kind number, but 'label' is of kind class",
    ),
    "an objective without a target": (
        lambda e: dataclasses.replace(e, objectives={"x": objectives.CrossEntropy("lable")}),
        r"objectives\.x wants target 'lable'; the data has label",
    ),
    "a metric without a head": (
        lambda e: dataclasses.replace(e, **evaluator(metrics={"m": metrics.Classification("label", head="heard")})),
        r"evaluators\.val\.metrics\.m: the model has no head 'heard'",
    ),
    "an evaluation of no rows at once": (
        lambda e: dataclasses.replace(e, **evaluator(batch=0)),
        "batch=0 of digits val",
    ),
    "a negative seed": (lambda e: dataclasses.replace(e, data=datasets.Digits(batch=16, seed=-1)), r"data\.seed=-1"),
    "no micro-batch": (
        lambda e: dataclasses.replace(e, optim=dataclasses.replace(e.optim, accumulate=0)),
        r"optim\.accumulate=0",
    ),
    "no checkpoint kept": (lambda e: dataclasses.replace(e, run=dataclasses.replace(e.run, keep=0)), r"run\.keep=0"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_it_is_refused_at_once(kind, tiny, tmp_path):
    spoil, told = WRONG[kind]
    with pytest.raises(UserError, match=told):
        mmjax.train(spoil(tiny()), workdir=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_head_of_another_name_is_measured():
    schema = datasets.Digits().fit()
    assert standard(schema, {"seen": "label"}, heads={"seen": None}) == {
        "seen": metrics.Classification("label", "seen")
    }
    assert set(standard(schema, {"seen": "label"})) == {"seen"}
    assert set(standard(schema)) == {"label"}
    assert standard(schema, heads={"other": None}) == {}


def test_two_runs_do_not_share_a_folder(tiny, tmp_path):
    schema = datasets.Digits().fit()
    Folder(tmp_path / "run").create(tiny(), schema)
    with pytest.raises(UserError, match="another run began"):
        Folder(tmp_path / "run").create(tiny(), schema)


def test_a_run_killed_as_it_began_leaves_room(tiny, tmp_path):
    (tmp_path / SCHEMA).write_text("{}")
    (tmp_path / f"{CONFIG}.part").write_text("{")
    assert not Folder(tmp_path).exists()


def test_a_folder_under_a_file_is_refused(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made a run folder"):
        Folder(tmp_path / "file/run").create(tiny(), datasets.Digits().fit())


def test_a_misspelt_way_with_bad_rows_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,a\n2,b\n3,a\n")
    good = datasets.Manifest(
        str(tmp_path / "a.csv"), inputs={"t": fields.Table(numbers=("x",))}, targets={"y": fields.Class()}
    )
    with pytest.raises(UserError, match="on_bad_row is 'halt'"):
        dataclasses.replace(good, on_bad_row="halt").open(good.fit())


@pytest.mark.parametrize("mesh", [Mesh(), Mesh(data=2, tensor=4), Mesh(data=1, fsdp=2, tensor=-1), Mesh(1, 1, 8)])
def test_one_process_reads_whole_batches(mesh):
    assert place.shard(mesh.build()) == (0, 1)


@dataclasses.dataclass(frozen=True)
class Mine(objectives.CrossEntropy):
    """A user's own objective."""


def test_own_parts_go_into_a_folder_and_come_back_where_they_are_allowed(tiny, tmp_path):
    own = dataclasses.replace(tiny(), objectives={"label": Mine("label")})
    Folder(tmp_path).create(own, own.data.fit())
    assert Folder(tmp_path, allow=(Mine,)).experiment() == own
    Folder(tmp_path).matches(own)  # going on compares what is written and builds nothing
    with pytest.raises(UserError, match="not a value of mmjax; pass its class in allow"):
        Folder(tmp_path).experiment()


def test_a_run_that_is_older_than_an_option_goes_on_without_it(tiny, tmp_path):
    own = tiny()
    Folder(tmp_path).create(own, own.data.fit())
    config = tmp_path / "config.json"
    record = json.loads(config.read_text())
    del record["quantized"], record["optim"]["frozen"], record["model"]["fusion"]["dropout"]
    config.write_text(json.dumps(record))
    Folder(tmp_path).matches(own)
    for other, told in (
        ({"quantized": Quantized("int8")}, r"begun with quantized\.forward='', now 'int8'"),
        ({"optim": dataclasses.replace(own.optim, frozen=("^heads_",))}, r"begun with optim\.frozen=\[\], now"),
    ):
        with pytest.raises(UserError, match=told):
            Folder(tmp_path).matches(dataclasses.replace(own, **other))


def test_a_modality_that_nothing_encodes_is_left_out_and_said_so(tiny):
    schema = fitted(tiny())
    assert list(schema.inputs) == ["image", "text"]
    assert ("audio", "left out", "audio", "the model has no encoder for it") in schema.describe()


def test_a_vocabulary_is_found_wherever_it_is_in_an_encoder(tiny):
    model = tiny().model
    chain = encoders.Chain(encoders.Text(vocabulary=5, width=16, depth=0), nn.Recurrent(8))
    experiment = tiny(model=model.clone(encoders={**model.encoders, "text": chain}))
    with pytest.raises(UserError, match=r"model\.encoders\.text\.front\.vocabulary=5, but the training data has"):
        check_sizes(experiment.model, fitted(experiment))
