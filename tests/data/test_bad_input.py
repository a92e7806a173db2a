"""Whatever is wrong with somebody's data: one line that names the file and the row and says what to do."""

import json
import struct
import zlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmjax import datasets, fields
from mmjax.core import UserError

WAYS_OUT = '; mend it or use on_bad_row="quarantine"'


def write(folder, text, name="train.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def complaint(path="train.csv", **fields_of_manifest):
    """The line that fitting and opening a manifest ends with."""
    manifest = datasets.Manifest(path, **{"label": "y", **fields_of_manifest})
    with pytest.raises(UserError) as caught:
        manifest.open(manifest.fit())
    line = str(caught.value)
    assert "\n" not in line
    return line


def huge_png(path, width, height):
    """A picture whose header alone is large."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b""))


def test_a_missing_manifest_names_both_places(folder):
    assert complaint("nowhere.csv") == (
        f"nowhere.csv does not exist, neither here nor under {folder}/shared (MMJAX_DATA)"
    )


def test_an_empty_manifest(folder):
    write(folder, "")
    assert complaint() == "train.csv is empty"


def test_a_folder_for_a_manifest(folder):
    (folder / "train.csv").mkdir()
    assert complaint() == "train.csv is a folder; name the file in it"


def test_an_unknown_format(folder):
    write(folder, "a,b\n", "train.xls")
    assert complaint("train.xls") == (
        "train.xls is no manifest: its name must end with .csv, .tsv, .jsonl, .ndjson, .parquet"
    )


def test_no_rows(folder):
    write(folder, "image,y\n")
    assert complaint() == "train.csv has no rows"


def test_not_utf8(folder):
    write(folder, "text,y\nok,1\ncaf\xe9,2\n".encode("latin-1"))
    assert complaint() == "train.csv is not UTF-8 (byte 0xe9 in line 3); save it as UTF-8"


def test_a_wrong_column(folder):
    write(folder, "text,labl\nhello you,1\n")
    assert complaint(label="label") == "train.csv has no column 'label'; did you mean 'labl'?"


def test_a_wrong_column_of_an_input(folder):
    write(folder, "picture,y\na.png,1\nb.png,0\n")
    assert complaint(inputs={"image": fields.Image("pictures")}) == (
        "train.csv has no column 'pictures'; did you mean 'picture'?"
    )


def test_a_column_named_twice(folder):
    write(folder, "x,x,y\n1,2,0\n")
    assert complaint() == "train.csv names column 'x' twice; rename one"


def test_a_ragged_row(folder):
    write(folder, "x,y\n1,0\n2\n3,1\n")
    assert complaint() == "train.csv row 2: has 1 cells, but the header names 2 columns" + WAYS_OUT


def test_an_open_quote(folder):
    write(folder, 'x,y\n1,"0\n')
    assert complaint() == "train.csv is not well-formed CSV: unexpected end of data"


def test_a_broken_line_of_json(folder):
    write(folder, '{"x": 1, "y": 0}\n{"x": 2, "y": \n', "train.jsonl")
    assert complaint("train.jsonl") == (
        "train.jsonl row 2: is not valid JSON (Expecting value at character 16)" + WAYS_OUT
    )


def test_a_line_of_json_that_is_no_object(folder):
    write(folder, '[1, 2]\n{"x": 1, "y": 0}\n', "train.jsonl")
    assert complaint("train.jsonl") == "train.jsonl row 1: is valid JSON but no object" + WAYS_OUT


def test_a_key_of_json_twice(folder):
    write(folder, '{"x": 1, "x": 2, "y": 0}\n', "train.jsonl")
    assert complaint("train.jsonl") == "train.jsonl row 1: names 'x' twice" + WAYS_OUT


def test_a_parquet_file_that_is_none(folder):
    write(folder, "not parquet at all", "train.parquet")
    assert complaint("train.parquet").startswith("train.parquet is not a readable Parquet file (")


PICTURES = {
    "gone.png": "gone.png does not exist",
    "cut.png": "cut.png is truncated",
    "cut.jpg": "cut.jpg is truncated",
    "void.png": "void.png is empty",
    "text.png": "text.png is not a picture that Pillow knows",
    "sub.png": "sub.png is a folder",
    "bomb.png": "bomb.png has 10000 x 10000 pixels, more than 64 million",
    "float.tiff": "float.tiff cannot be decoded (its floating-point pixels have no known range; "
    "save it with 8 or 16 bits)",
    "../outside.png": "../outside.png leaves the manifest's folder; put the file inside and name it relative "
    "to the manifest",
    "link.png": "link.png leaves the manifest's folder; put the file inside and name it relative to the manifest",
    "linked/outside.png": "linked/outside.png leaves the manifest's folder; put the file inside and name it "
    "relative to the manifest",
}


@pytest.fixture
def pictures(folder):
    """A manifest's folder, every picture of PICTURES in or beside it."""
    home = folder / "home"
    home.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).rename(home / name)
    whole = (home / "a.png").read_bytes()
    (home / "cut.png").write_bytes(whole[:-60])
    Image.new("RGB", (64, 64), "red").save(home / "whole.jpg")
    (home / "cut.jpg").write_bytes((home / "whole.jpg").read_bytes()[:-100])
    (home / "void.png").touch()
    (home / "text.png").write_text("hello")
    (home / "sub.png").mkdir()
    huge_png(home / "bomb.png", 10_000, 10_000)
    Image.fromarray(np.ones((4, 4), np.float32)).save(home / "float.tiff")
    (folder / "outside.png").write_bytes(whole)
    (home / "link.png").symlink_to(folder / "outside.png")
    (home / "linked").symlink_to(folder)
    return home


@pytest.mark.parametrize("name", PICTURES)
def test_a_bad_picture(pictures, name):
    write(pictures, f"image,y\na.png,0\n{name},1\n")
    image = {"image": fields.Image(size=8, channels=1, mean=(), std=())}
    expected = f"home/train.csv row 2: {PICTURES[name]}" + WAYS_OUT
    assert complaint("home/train.csv", inputs=image) == expected
    assert complaint("home/train.csv", inputs={"image": fields.Image()}) == expected


def test_an_absolute_path_leaves_the_folder_even_if_it_leads_back(folder):
    write(folder, f"image,y\n{folder}/a.png,0\nb.png,1\n")
    assert complaint(inputs={"image": fields.Image()}) == (
        f"train.csv row 1: {folder}/a.png leaves the manifest's folder; put the file inside and name it "
        "relative to the manifest" + WAYS_OUT
    )


SOUNDS = {
    "cut.wav": "cut.wav is truncated",
    "silent.wav": "silent.wav holds no sound",
    "nan.wav": "nan.wav holds NaN or infinite samples",
    "text.wav": "text.wav is not a recording that libsndfile knows (Format not recognised)",
    "gone.wav": "gone.wav does not exist",
}


@pytest.mark.parametrize("name", SOUNDS)
def test_a_bad_recording(folder, name):
    whole = (folder / "a.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(folder / "silent.wav", np.zeros(0, np.float32), 8000)
    soundfile.write(folder / "nan.wav", np.array([0, np.nan, 1], np.float32), 8000, subtype="FLOAT")
    (folder / "text.wav").write_text("hello, I am no sound at all")
    write(folder, f"audio,y\na.wav,0\n{name},1\n")
    audio = {"audio": fields.Audio(rate=8000, seconds=0.1)}
    assert complaint(inputs=audio) == f"train.csv row 2: {SOUNDS[name]}" + WAYS_OUT


def test_a_truncated_flac(folder):
    soundfile.write(folder / "whole.flac", np.random.default_rng(0).uniform(-1, 1, 40_000), 8000)
    (folder / "cut.flac").write_bytes((folder / "whole.flac").read_bytes()[:30_000])
    write(folder, "audio,y\ncut.flac,0\na.wav,1\n")
    assert complaint(inputs={"audio": fields.Audio()}).startswith("train.csv row 1: cut.flac ")


@pytest.mark.parametrize("kind", ["ogg", "mp3"])
@pytest.mark.parametrize("share", [0.6, 0.99])
def test_a_compressed_recording_cut_off_between_its_pages_or_frames(folder, kind, share):
    soundfile.write(folder / f"whole.{kind}", np.random.default_rng(0).normal(0, 0.1, 80_000), 8000, format=kind)
    whole = (folder / f"whole.{kind}").read_bytes()
    (folder / f"cut.{kind}").write_bytes(whole[: int(len(whole) * share)])
    write(folder, f"audio,y\ncut.{kind},0\nwhole.{kind},1\n")
    audio = {"audio": fields.Audio(rate=8000, seconds=0.1)}
    assert complaint(inputs=audio).startswith(f"train.csv row 1: cut.{kind} is truncated")


LOGS = {
    "nan.csv": ("x,y\n1,2\n3,nan\n", "nan.csv holds NaN or infinity (step 2, channel y)"),
    "other.csv": ("x,z\n1,2\n", "other.csv has no channel 'y'; there is x, z"),
    "words.csv": ("x,y\n1,two\n", "words.csv is not a table of numbers"),
    "none.csv": ("x,y\n", "none.csv holds no steps"),
    "three.csv": ("1,2,3\n4,5,6\n", "three.csv has 3 channels, not 2"),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_bad_log(folder, name):
    write(folder, LOGS[name][0], name)
    write(folder, f"log,y\nlog.csv,0\n{name},1\n")
    assert complaint(inputs={"log": fields.Sensor()}).startswith(f"train.csv row 2: {LOGS[name][1]}")


def test_a_pickled_log_is_never_loaded(folder):
    np.save(folder / "object.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    write(folder, "log,y\nobject.npy,0\nlog.csv,1\n")
    assert complaint(inputs={"log": fields.Sensor()}).startswith(
        "train.csv row 1: object.npy is not a readable NPY file of numbers (Object arrays cannot be loaded"
    )


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("nan", "age is nan; leave the cell empty where the number is not known"),
        ("inf", "age is inf; leave the cell empty where the number is not known"),
        ("old", "age is 'old', which is no number"),
    ],
)
def test_a_number_in_a_table_that_is_none(folder, cell, reason):
    write(folder, f"age,y\n31,0\n{cell},1\n")
    assert complaint(inputs={"table": fields.Table(numbers=("age",))}) == f"train.csv row 2: {reason}" + WAYS_OUT


def test_an_unknown_label_at_evaluation(folder):
    write(folder, "image,y\na.png,cat\nb.png,dog\n")
    write(folder, "image,y\na.png,cat\nb.png,dogs\n", "val.csv")
    schema = datasets.Manifest("train.csv", label="y").fit()
    with pytest.raises(UserError) as caught:
        datasets.Manifest("val.csv", label="y").open(schema)
    assert str(caught.value) == (
        "val.csv row 2: y is 'dogs', which is none of the 2 labels of the training rows; did you mean 'dog'?" + WAYS_OUT
    )


def test_an_evaluation_without_any_known_column(folder):
    write(folder, "image,y\na.png,cat\nb.png,dog\n")
    write(folder, "imag,y\na.png,cat\n", "val.csv")
    schema = datasets.Manifest("train.csv", label="y").fit()
    with pytest.raises(UserError) as caught:
        datasets.Manifest("val.csv").open(schema)
    assert str(caught.value) == (
        "val.csv has no column of any modality that was learned; it lacks 'image'; did you mean 'imag'?"
    )


def test_one_class_is_no_choice(folder):
    write(folder, "image,y\na.png,cat\nb.png,cat\n")
    assert complaint() == "column 'y' has only the class 'cat'; a model needs two to choose from"


def test_a_label_with_too_many_values(folder):
    write(folder, "image,y\n" + "".join(f"a.png,name{i}\n" for i in range(40)))
    assert complaint() == ("train.csv: label 'y' has 40 values in 40 rows; name another column or declare targets")


def test_files_and_other_things_in_one_column(folder):
    write(folder, "image,y\na.png,0\nb.png,1\nnone,1\n")
    assert complaint() == (
        "train.csv: column 'image' holds image files and other things ('none'); declare it, or leave the cell "
        "empty where there is no file"
    )


def test_no_rows_where(folder):
    write(folder, "image,y,kind\na.png,0,p\nb.png,1,p\n")
    assert complaint(where={"kind": "q"}) == "train.csv has no rows where kind is 'q'"
    assert complaint(where={"kinds": "q"}) == "train.csv has no column 'kinds' for where; did you mean 'kind'?"


def test_every_row_bad(folder):
    write(folder, "image,y\ngone.png,0\nlost.png,1\n")
    image = {"image": fields.Image(size=8, channels=1, mean=(), std=())}
    assert complaint(inputs=image, on_bad_row="quarantine") == (
        "train.csv: every row is bad; the first: gone.png does not exist"
    )


def test_half_a_character(folder):
    write(folder, json.dumps({"text": "\ud83d", "y": 1}) + '\n{"text": "a b", "y": 0}\n', "train.jsonl")
    assert complaint("train.jsonl", inputs={"text": fields.Text()}) == (
        "train.jsonl row 1: text holds half a character (a lone surrogate)" + WAYS_OUT
    )


def test_archives_of_arrays(folder):
    np.savez(folder / "odd.npz", a=np.zeros(3), b=np.zeros(4))
    np.savez_compressed(folder / "bomb.npz", a=np.zeros((50_000, 1000)))
    np.savez(folder / "pickle.npz", a=np.array([{}], dtype=object))
    (folder / "text.npz").write_text("hello")

    def line(name):
        with pytest.raises(UserError) as caught:
            datasets.Arrays(name, label="a", cache_gb=0.1).fit()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert line("odd.npz") == "odd.npz: the arrays differ in length (a 3, b 4)"
    assert line("bomb.npz") == "bomb.npz would take 0.4 GB in memory; raise cache_gb if that is meant"
    assert line("pickle.npz").startswith("pickle.npz is not a readable npz file of numbers and text (Object arrays")
    assert line("text.npz") == "text.npz is not a readable npz file of numbers and text (File is not a zip file)"


def test_a_picture_that_is_a_program(folder):
    """PostScript is run by another program, whatever the file is called."""
    (folder / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    write(folder, "image,y\na.png,r\nb.png,s\n")
    inputs = {"image": fields.Image()}
    assert complaint(inputs=inputs) == f"train.csv row 1: a.png is not a picture that Pillow knows{WAYS_OUT}"


def test_a_log_whose_header_promises_terabytes(folder):
    np.save(folder / "log.npy", np.zeros((4, 2)))
    data = (folder / "log.npy").read_bytes().replace(b"(4, 2), }" + b" " * 16, b"(99999999999999, 2), }   ")
    assert b"99999999999999" in data
    (folder / "log.npy").write_bytes(data)
    write(folder, "log,y\nlog.npy,r\nlog.npy,s\n")
    assert complaint(inputs={"log": fields.Sensor()}).startswith("train.csv row 1: log.npy is not a readable NPY file")


def test_half_a_character_in_json(folder):
    rows = ['{"note": "red thing", "y": "a"}', '{"note": "x", "y": "\\ud800"}', '{"note": "\\ud83d\\ude00", "y": "b"}']
    write(folder, "\n".join(rows), "train.jsonl")
    inputs = {"note": fields.Text()}
    assert complaint("train.jsonl", inputs=inputs).startswith("train.jsonl row 2: y holds half a character")


def test_the_way_out_is_looked_for_from_here(folder, tmp_path_factory, monkeypatch):
    """The same relative names in another current folder are other files."""
    for inside in (True, False):
        here = tmp_path_factory.mktemp("here")
        monkeypatch.chdir(here)
        (here / "set").mkdir()
        if inside:
            (here / "set/pictures").mkdir()
        else:
            (here / "set/pictures").symlink_to(folder)
        Image.new("L", (9, 9)).save(here / "set/pictures/a.png")
        write(here / "set", "image,y\npictures/a.png,r\npictures/a.png,s\n")
        manifest = datasets.Manifest("set/train.csv", label="y", inputs={"image": fields.Image()})
        if inside:
            assert len(manifest.open(manifest.fit())) == 2
        else:
            with pytest.raises(UserError, match="leaves the manifest's folder"):
                manifest.fit()
