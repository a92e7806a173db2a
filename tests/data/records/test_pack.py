"""Records: the same examples as the manifest's, whatever happened on the way."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from mmjax import datasets, fields
from mmjax.core import UserError
from mmjax.data import pipeline, records
from mmjax.data.records import cell

INPUTS = {
    "image": fields.Image(size=8),
    "sound": fields.Audio(rate=8000),
    "log": fields.Sensor(),
    "note": fields.Text(),
}


@pytest.fixture
def manifest(folder):
    """Rows of pictures, sounds, logs and notes, some of them missing."""
    lines = ["id,image,sound,log,note,label"]
    for i in range(20):
        picture = ("a.png", "b.png", "")[i % 3]
        lines.append(f"{i},{picture},{'a.wav' if i % 4 else ''},log.csv,note {i % 5} of many,{'xy'[i % 2]}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    return datasets.Manifest("train.csv", label="label", inputs=INPUTS)


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def everything(dataset, schema):
    examples = dataset.open(schema)
    return examples.batch(np.arange(len(examples)))


@pytest.mark.parametrize("form", ["decoded", "files"])
@pytest.mark.parametrize("rows", [0, 3])
def test_records_hold_the_rows_of_the_manifest_and_its_schema(manifest, form, rows):
    found = records.pack(manifest, "out", form=form, rows=rows)
    assert found == {"records": "out", "rows": 20, "shards": 7 if rows else 1, "rejects": []}
    packed = datasets.Records("out")
    schema = packed.fit()
    assert schema == manifest.fit()
    for name in os.listdir():
        if name.endswith((".png", ".wav", ".csv")):
            os.rename(name, f"{name}.gone")  # they carry their files
    kept = everything(packed, schema)
    for name in os.listdir():
        os.rename(name, name.removesuffix(".gone"))
    equal(kept, everything(manifest, schema))
    equal(kept, everything(datasets.Records("out", cache_gb=1.0), schema))
    assert packed.open(schema).identity(3) == "3"


def test_other_fields_are_fitted_on_the_packed_rows(manifest):
    records.pack(manifest, "out")
    small = datasets.Records("out", label="label", inputs={"image": fields.Image(size=4)})
    assert small.fit().inputs["image"].shape == (4, 4, 1)
    assert everything(small, small.fit()).inputs["image"].values.shape == (20, 4, 4, 1)


def test_a_process_reads_its_own_rows_alone(manifest, monkeypatch):
    records.pack(manifest, "out", rows=3)
    asked = []
    original = records.Shards.rows
    monkeypatch.setattr(records.Shards, "rows", lambda self, numbers: asked.extend(numbers) or original(self, numbers))
    data = datasets.Records("out")
    examples = data.open(data.fit())
    asked.clear()
    stream = pipeline.stream(examples, batch=4, seed=0, shard=(1, 2), prefetch=0)
    for _ in range(5):
        next(stream)
    assert len(asked) == 10 and len(set(asked)) == 10


def test_a_pack_that_was_killed_goes_on(manifest, folder):
    code = (
        "from mmjax import datasets, fields; from mmjax.data import records; import sys, time\n"
        "inputs = {'image': fields.Image(size=8), 'sound': fields.Audio(rate=8000), 'log': fields.Sensor(), "
        "'note': fields.Text()}\n"
        "manifest = datasets.Manifest('train.csv', label='label', inputs=inputs)\n"
        "def tell(done, total):\n"
        "    print(done, flush=True)\n"
        "    time.sleep(60 if done > 6 else 0)\n"
        "records.pack(manifest, 'out', rows=2, tell=tell)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=folder)
    lines = iter(process.stdout.readline, "")
    assert [next(lines) for _ in range(4)][-1] == "8\n"
    with pytest.raises(UserError, match=r"^another pack is at work in out; wait for it or choose another OUT"):
        records.pack(manifest, "out")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with pytest.raises(UserError, match=r"^out was not packed to its end; run the same `mmjax pack` again"):
        datasets.Records("out").fit()
    before = {name: os.stat(f"out/{name}").st_mtime_ns for name in os.listdir("out") if name.endswith("array_record")}
    assert len(before) == 4
    (folder / "out" / "part-00004.array_record.part").write_bytes(b"half")
    time.sleep(0.01)
    assert records.pack(manifest, "out", rows=2)["rows"] == 20
    assert {name: os.stat(f"out/{name}").st_mtime_ns for name in before} == before
    equal(everything(datasets.Records("out"), manifest.fit()), everything(manifest, manifest.fit()))


def test_an_address_far_away_is_as_good_as_a_folder(manifest, folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    records.pack(manifest, "memory://bucket/train", rows=8)
    data = datasets.Records("memory://bucket/train")
    equal(everything(data, data.fit()), everything(manifest, manifest.fit()))
    assert len(list((folder / "cache").rglob("part-*.array_record"))) == 3
    with pytest.raises(UserError, match=r"^memory://bucket/none holds no records; make them with `mmjax pack MANIFEST"):
        datasets.Records("memory://bucket/none").fit()
    with pytest.raises(UserError, match=r"^bucket99://none cannot be looked into \(Protocol not known: bucket99\)$"):
        datasets.Records("bucket99://none").fit()


def test_bad_rows_stop_or_are_listed(manifest, folder):
    (folder / "b.png").write_text("spoilt")
    with pytest.raises(UserError, match=r"^train.csv row 2: b.png is not a picture that Pillow knows; mend it or use"):
        records.pack(manifest, "out")
    spared = datasets.Manifest("train.csv", label="label", inputs=INPUTS, on_bad_row="quarantine")
    found = records.pack(spared, "spared", rows=6)
    assert found["rows"] == 13 and [reject["row"] for reject in found["rejects"]] == [2, 5, 8, 11, 14, 17, 20]
    assert datasets.Records("spared").open(datasets.Records("spared").fit()).identity(1) == "2"


def test_what_cannot_be_packed_is_said_in_a_line(manifest, folder):
    with pytest.raises(UserError, match=r"^form is 'zip'; it can be decoded or files"):
        records.pack(manifest, "out", form="zip")
    (folder / "full").mkdir()
    (folder / "full" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"^full is not empty and holds no records; choose another OUT$"):
        records.pack(manifest, "full")
    records.pack(manifest, "out", rows=8)
    with pytest.raises(UserError, match=r"^out was begun with other rows or settings; choose another OUT$"):
        records.pack(manifest, "out", form="files")
    with pytest.raises(UserError, match=r"^nowhere holds no records"):
        datasets.Records("nowhere").fit()


def test_damage_is_noticed(manifest, folder):
    records.pack(manifest, "out", rows=20)
    data = datasets.Records("out")
    path = folder / "out" / "part-00000.array_record"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(UserError, match=r"^out/part-00000.array_record is damaged"):
        everything(data, data.fit())
    path.unlink()
    with pytest.raises(UserError, match=r"^out lacks part-00000.array_record; pack the manifest again$"):
        everything(data, data.fit())
    (folder / "out" / "plan.json").write_text("{")
    with pytest.raises(UserError, match=r"^out/plan.json is damaged"):
        data.fit()


def test_cells_come_back_as_they_were():
    rng = np.random.default_rng(0)
    wave = (rng.integers(-32768, 32768, 50).astype(np.float32)) / 32768
    cells = {
        "picture": rng.integers(0, 256, (3, 4, 3)).astype(np.uint8),
        "sound": (cell.slim(wave), 8000),
        "log": cell.slim(rng.normal(size=(4, 2))),
        "file": b"\x00\xff",
        "text": "sieben \U0001f600",
        "none": None,
        "number": 2.5,
        "labels": ["a", "b"],
    }
    found = cell.loaded(cell.dumped(cells))
    assert found.keys() == cells.keys()
    assert found["sound"][0].dtype == np.int16 and found["sound"][1] == 8000
    np.testing.assert_array_equal(found["sound"][0].astype(np.float32) / 32768, wave)
    for name in ("picture", "log"):
        assert found[name].dtype == cells[name].dtype and not found[name].flags.writeable
        np.testing.assert_array_equal(found[name], cells[name])
    assert all(found[name] == cells[name] for name in ("file", "text", "none", "number", "labels"))
    for damaged in (b"", b"\xc1", cell.dumped({"a": 1})[:-1], b"\x01"):
        with pytest.raises(ValueError, match="no row"):
            cell.loaded(damaged)
