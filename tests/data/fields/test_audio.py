"""Recordings of any format, rate and number of channels."""

import io

import numpy as np
import pytest
import soundfile

from mmjax import fields
from mmjax.data.sources import Row, Rows


def tone(rate, seconds=0.5, frequency=440.0):
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def read(cell, rate=16_000, **options):
    return fields.Audio("x", rate=rate, seconds=0.5, **options).read(Row({"x": cell}, "rows", 1))


def pitch(wave, rate):
    return np.argmax(np.abs(np.fft.rfft(wave * np.hanning(len(wave))))) * rate / len(wave)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_formats_and_rates_keep_pitch_and_length(tmp_path, form, rate):
    path = str(tmp_path / f"tone.{form}")
    soundfile.write(path, tone(rate), rate)
    wave = read(path)
    assert wave.dtype == np.float32
    assert abs(len(wave) - 8000) <= (1600 if form == "mp3" else 1)  # MP3 pads to whole frames
    assert abs(pitch(wave, 16_000) - 440) < 4
    middle = wave[2000:6000]
    assert abs(np.sqrt(np.mean(middle**2)) - 0.5 / np.sqrt(2)) < 0.03


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_sample_formats_mean_the_same(tmp_path, subtype):
    path = str(tmp_path / "tone.wav")
    soundfile.write(path, tone(16_000), 16_000, subtype=subtype)
    assert np.abs(read(path) - tone(16_000)).max() < 0.03


def test_channels_are_averaged(tmp_path):
    path = str(tmp_path / "tone.wav")
    left, right = tone(16_000), tone(16_000, frequency=1000)
    soundfile.write(path, np.stack([left, right, left], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read(path), (2 * left + right) / 3, atol=1e-6)


def test_bytes_and_arrays_are_recordings_too():
    file = io.BytesIO()
    soundfile.write(file, tone(16_000), 16_000, format="WAV", subtype="FLOAT")
    np.testing.assert_array_equal(read(file.getvalue()), tone(16_000))
    np.testing.assert_array_equal(read(tone(16_000)), tone(16_000))
    assert abs(len(read((tone(8000), 8000))) - 8000) <= 1
    np.testing.assert_allclose(read(np.int16([16384, -32768])), [0.5, -1])


def test_length_is_that_of_the_longest_training_recording_and_is_limited(tmp_path):
    rows = []
    for i, seconds in enumerate((0.2, 0.503, 0.1)):
        path = str(tmp_path / f"{i}.wav")
        soundfile.write(path, tone(8000, seconds), 8000)
        rows.append(Row({"x": path}, "rows", i))
    assert fields.Audio("x").fit(Rows(rows)).seconds == 0.51
    rows.append(Row({"x": (np.zeros(8000 * 60, np.float32), 8000)}, "rows", 3))
    assert fields.Audio("x").fit(Rows(rows)).seconds == 10


def test_a_batch_pads_short_ones_and_keeps_the_centre_of_long_ones():
    field = fields.Audio("x", rate=10, seconds=0.6)
    batch = field.batch([np.arange(1, 5, dtype=np.float32), None, np.arange(10, dtype=np.float32)])
    assert batch.values.tolist() == [[1, 2, 3, 4, 0, 0], [0] * 6, [2, 3, 4, 5, 6, 7]]
    assert batch.mask.sum(axis=1).tolist() == [4, 0, 6]
    assert field.cuts(np.zeros(7)) and not field.cuts(np.zeros(6))


def test_a_wav_of_unknown_length_from_a_pipe_is_whole(tmp_path):
    path = tmp_path / "pipe.wav"
    soundfile.write(path, tone(16_000), 16_000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(read(str(path))) == 8000
