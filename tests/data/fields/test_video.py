"""Videos of any kind: chosen frames, upright, in one size; and one line for what is none."""

import io

import av
import jax
import numpy as np
import pytest
from PIL import Image as Pillow

from mmjax import datasets, encoders, fields, fit, fusion, heads, predict
from mmjax.core import UserError
from mmjax.data.fields import film
from mmjax.data.sources import BadRow, Row, Rows
from mmjax.model import Multimodal
from mmjax.train.page import example as page

CODECS = {"mp4": "mpeg4", "mov": "libx264", "mkv": "libx264", "webm": "libvpx", "avi": "mpeg4", "mpg": "mpeg2video"}
FREE = {"size": (12, 16), "channels": 1, "mean": (), "std": ()}


def filmed(path, count=20, *, size=(24, 32), codec=None, form=None, turn=0, colour=(1, 1, 1), step=10):
    """A video whose frame i has the grey level ``step`` i."""
    form = form or str(path).rpartition(".")[2]
    names = {"mkv": "matroska", "mpg": "mpeg"}
    with av.open(path, "w", format=names.get(form, form)) as file:
        stream = file.add_stream(codec or CODECS[form], rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = 5
        if turn:
            stream.set_display_rotation(turn)
        for i in range(count):
            pixels = np.full((*size, 3), step * i * np.asarray(colour), np.uint8)
            pixels[: size[0] // 3, : size[1] // 3] = 255
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    return path


def read(cell, **options):
    field = fields.Video("x", **{"frames": 4, **FREE, **options})
    return field.read(Row({"x": str(cell) if not isinstance(cell, bytes | np.ndarray) else cell}, "rows", 1))


def levels(video):
    return video[:, -3, -3, 0].astype(int)


@pytest.mark.parametrize("form", CODECS)
def test_frames_are_taken_evenly_from_every_kind_of_file(tmp_path, form):
    path = filmed(tmp_path / f"a.{form}")
    video = read(path)
    assert video.shape == (4, 12, 16, 1) and video.dtype == np.uint8
    assert np.abs(levels(video) - [20, 70, 120, 170]).max() <= 5
    assert np.abs(levels(read(path, frames=100)) - np.arange(0, 200, 10)).max() <= 5


def test_long_stretches_are_jumped_over(tmp_path):
    path = filmed(tmp_path / "a.mp4", count=240, step=1)
    assert np.abs(levels(read(path, frames=6)) - [20, 60, 100, 140, 180, 220]).max() <= 3


def test_bytes_and_arrays_are_videos_too():
    file = io.BytesIO()
    filmed(file, form="mp4")
    assert np.abs(levels(read(file.getvalue())) - [20, 70, 120, 170]).max() <= 5
    array = np.arange(8, dtype=np.uint8)[:, None, None] * np.ones((1, 12, 16), np.uint8)
    assert levels(read(array)).tolist() == [1, 3, 5, 7]
    real = array[:, :, :, None] / 2
    assert read(real).dtype == np.float32 and levels(read(2 * real)).tolist() == [1, 3, 5, 7]


def test_turned_videos_are_turned_upright(tmp_path):
    path = filmed(tmp_path / "a.mp4", turn=90)
    assert film.extent(Row({}, "rows", 1), str(path)) == (32, 24, 20)
    found = read(path, size=(32, 24))
    assert found[0, -1, 0, 0] > 200 > 50 > found[0, 0, 0, 0]  # the light corner, top left, has gone down


def test_fit_learns_length_size_colour_and_moments(tmp_path):
    rows = [Row({"x": str(filmed(tmp_path / f"{i}.mp4", count=5 + i))}, "rows", i) for i in range(3)]
    field = fields.Video("x").fit(Rows(rows))
    assert field.shape == (7, 24, 32, 1) and "7 frames of 24 x 32, grey" in field.describe()
    batch = field.batch([field.read(rows[0]), None, field.read(rows[2])])
    assert batch.values.shape == (3, 7, 24, 32, 1) and batch.values.dtype == np.float32
    assert batch.mask.sum(1).tolist() == [5, 0, 7]
    assert not batch.values[0, 5:].any() and not batch.values[1].any()
    seen = np.concatenate([batch.values[0, :5], batch.values[2]])
    assert abs(seen.mean()) < 0.1 and abs(seen.std() - 1) < 0.1
    rows = [Row({"x": str(filmed(tmp_path / "red.mp4", count=40, colour=(1, 0, 0), step=6))}, "rows", 0)]
    field = fields.Video("x").fit(Rows(rows))
    assert field.frames == 16 and field.channels == 3
    wide = [Row({"x": np.zeros((2, 300, 400, 3), np.uint8)}, "rows", 0)]
    assert fields.Video("x").fit(Rows(wide)).size == (80, 112)
    with pytest.raises(UserError, match="no training row has a video in column 'x'"):
        fields.Video("x").fit(Rows([Row({"x": None}, "rows", 1)]))
    with pytest.raises(UserError, match=r"fields.Video: resize is 'bend'"):
        fields.Video("x", resize="bend")
    with pytest.raises(UserError, match="frames is 0"):
        fields.Video("x", frames=0)


def test_bytes_stay_bytes_where_nothing_is_learned(tmp_path):
    field = fields.Video("x", frames=2, **FREE)
    video = read(filmed(tmp_path / "a.mp4"), frames=2)
    for examples in ([video, None], np.stack([video, video])):
        assert field.batch(examples).values.dtype == np.uint8


@pytest.mark.parametrize(
    ("form", "share", "complaint"),
    [
        ("mp4", 0.7, "is not a video that FFmpeg knows, or it is truncated"),
        ("mov", 0.7, "does not tell how its pictures are written; it is truncated or damaged"),
        ("avi", 0.9, r"is truncated \(\d+ of 20 frames\)"),
        ("webm", 0.7, r"is truncated \(\d\.\d of 0.8 s\)"),
    ],
)
def test_a_truncated_file_is_told(tmp_path, form, share, complaint):
    data = filmed(tmp_path / f"a.{form}").read_bytes()
    (tmp_path / f"cut.{form}").write_bytes(data[: int(share * len(data))])
    with pytest.raises(BadRow, match=f"rows row 1: .*cut.{form} {complaint}"):
        read(tmp_path / f"cut.{form}")


def test_a_damaged_file_is_told(tmp_path):
    data = bytearray(filmed(tmp_path / "a.mkv").read_bytes())
    at = 7 * len(data) // 10
    data[at : at + 200] = np.random.default_rng(0).bytes(200)
    (tmp_path / "b.mkv").write_bytes(data)
    with pytest.raises(BadRow, match=r"rows row 1: .*b.mkv is truncated "):
        read(tmp_path / "b.mkv", frames=20)


def test_what_is_no_video_is_told(tmp_path):
    filmed(tmp_path / "a.mp4")
    Pillow.new("RGB", (8, 8)).save(tmp_path / "picture.png")
    (tmp_path / "picture.mp4").write_bytes((tmp_path / "picture.png").read_bytes())
    (tmp_path / "text.mp4").write_text("no video at all\n" * 99)
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/a.mp4\n")
    (tmp_path / "concat.mp4").write_text(f"ffconcat version 1.0\nfile '{tmp_path}/a.mp4'\n")
    for name in ("picture", "text", "list", "concat"):
        with pytest.raises(BadRow, match=f"{name}.mp4 is not a video that FFmpeg knows"):
            read(tmp_path / f"{name}.mp4")
    with av.open(tmp_path / "sound.mp4", "w") as file:
        stream = file.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    (tmp_path / "empty.mp4").touch()
    for name, complaint in (("sound", "holds no video"), ("empty", "is empty"), ("gone", "does not exist")):
        with pytest.raises(BadRow, match=f"{name}.mp4 {complaint}"):
            read(tmp_path / f"{name}.mp4")
    with pytest.raises(BadRow, match=r"x is no video: .* not uint8 \(4, 5\)"):
        read(np.zeros((4, 5), np.uint8))
    with pytest.raises(BadRow, match="x holds NaN"):
        read(np.full((2, 12, 16), np.nan))


def test_limits_are_told(tmp_path, monkeypatch):
    path = filmed(tmp_path / "a.mp4")
    monkeypatch.setattr(film, "LARGEST", 500)
    with pytest.raises(BadRow, match="has 32 x 24 pixels, more than"):
        read(path)
    monkeypatch.undo()
    monkeypatch.setattr(film, "LONGEST", 10)
    with pytest.raises(BadRow, match="has more than 10 frames"):
        read(path)


def test_a_manifest_of_videos_is_inferred_predicted_and_shown(tmp_path):
    for i in range(4):
        filmed(tmp_path / f"{i}.mp4", count=3 + i, step=10 + 5 * i)
    lines = [f"{i}.mp4,{'ab'[i % 2]}" for i in range(4)]
    (tmp_path / "train.csv").write_text("clip,y\n" + "\n".join(lines) + "\n")
    data = datasets.Manifest(str(tmp_path / "train.csv"), label="y")
    schema = data.fit()
    assert schema.inputs["clip"].kind == "video" and schema.inputs["clip"].shape == (6, 24, 32, 1)
    examples = data.open(schema)
    assert examples.identity(2) == "2.mp4"
    encoder = fit.encoder(schema.inputs["clip"], width=8, rows=4)
    assert isinstance(encoder, encoders.Frames)
    model = Multimodal({"clip": encoder.clone(depth=0)}, fusion.Late(width=8), {"y": heads.Classify(2)})
    variables = jax.jit(lambda: model.init(jax.random.key(0), examples.batch([0]).inputs, train=False))()
    predictor = predict.Predictor(model, schema, variables)
    whole = list(predictor(str(tmp_path / "train.csv")))
    (one,) = predictor(clip=str(tmp_path / "3.mp4"))
    assert [record["id"] for record in whole] == [f"{i}.mp4" for i in range(4)]
    assert one["heads"]["y"]["probability"] == pytest.approx(whole[3]["heads"]["y"]["probability"], rel=1e-4)
    with pytest.raises(UserError, match=r"clip: .*gone.mp4 does not exist"):
        list(predictor(clip=str(tmp_path / "gone.mp4")))
    shown = page.example({"signals": {"clip": {"kind": "video", "value": examples[0]["inputs"]["clip"]}}})
    assert shown.count("<img") == 3


def test_encoded_cells_are_told_apart():
    from mmjax.data.inference import _encoded_kind

    marks = {
        b"\0\0\0\x18ftypisom": "video",
        b"\0\0\0\x18ftypavif": "image",
        b"\0\0\0\x18ftypM4A ": "audio",
        b"\x1aE\xdf\xa3....": "video",
        b"RIFF....AVI ": "video",
        b"RIFF....WAVE": "audio",
        b"RIFF....WEBP": "image",
        b"\x89PNG": "image",
    }
    assert {start: _encoded_kind(start) for start in marks} == marks
