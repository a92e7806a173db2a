"""CTC against every path there is, in float64, and against optax; rows that cannot be fitted."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mmjax
from descriptors.row import lengths, noise
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, tokenizers
from mmjax.core import Batch, Outputs, Signal, Tokens, UserError
from mmjax.metrics import transcription
from mmjax.objectives.ctc import ctc
from mmjax.train import Optim, Run

# Two rows of the same word twice running; a row in part; a row that only just fits.
WORDS = jnp.asarray([[1, 1, 0], [2, 3, 2], [3, 0, 0], [1, 2, 2]])
SPOKEN, FRAMES = lengths(2, 3, 1, 3), lengths(5, 5, 3, 4)
LOGITS = 3 * noise(4, 5, 4)


def collapse(path):
    return [word for word, _ in itertools.groupby(path) if word]


def exact(logits, words):
    """Nats and their gradient, added up over all paths in float64."""
    logits = np.asarray(logits, np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    paths = [p for p in itertools.product(range(logits.shape[1]), repeat=len(logits)) if collapse(p) == list(words)]
    steps = np.arange(len(logits))
    shares = np.exp([logs[steps, list(path)].sum() for path in paths])
    said = sum(share * np.eye(logits.shape[1])[list(path)] for share, path in zip(shares, paths, strict=True))
    return -np.log(shares.sum()), np.exp(logs) - said / shares.sum()


def test_values_and_gradients_are_those_of_all_paths():
    found = ctc(LOGITS, FRAMES, WORDS, SPOKEN)
    gradient = jax.jit(jax.grad(lambda logits: jnp.sum(ctc(logits, FRAMES, WORDS, SPOKEN))))(LOGITS)
    for row in range(len(LOGITS)):
        real = int(FRAMES[row].sum())
        value, expected = exact(LOGITS[row, :real], np.asarray(WORDS[row])[np.asarray(SPOKEN[row])])
        np.testing.assert_allclose(found[row], value, rtol=1e-6)
        np.testing.assert_allclose(gradient[row, :real], expected, rtol=0, atol=1e-6)
        assert not np.any(gradient[row, real:])


def test_long_recordings_keep_their_precision():
    logits, words = 4 * noise(2, 300, 12), jnp.asarray(1 + np.arange(24).reshape(2, 12) * 7 % 11)
    frames, spoken = lengths(300, 250), lengths(12, 9)
    paddings = 1.0 - frames, 1.0 - spoken
    with jax.enable_x64(True):
        given = np.asarray(logits, np.float64), np.float64(paddings[0]), words, np.float64(paddings[1])
        expected = np.asarray(optax.ctc_loss(*given))
        slope = np.asarray(jax.grad(lambda logits: jnp.sum(optax.ctc_loss(logits, *given[1:])))(given[0]))
    np.testing.assert_allclose(ctc(logits, frames, words, spoken), expected, rtol=1e-6)
    gradient = jax.grad(lambda logits: jnp.sum(ctc(logits, frames, words, spoken)))(logits)
    np.testing.assert_allclose(gradient, slope, rtol=0, atol=5e-6)


def test_a_frame_that_is_masked_between_others_is_as_if_it_were_not_there():
    frames = jnp.asarray([[True, False, True, True, True]])
    found = ctc(LOGITS[1:2], frames, WORDS[1:2], SPOKEN[1:2])
    np.testing.assert_allclose(found[0], exact(LOGITS[1][np.array([0, 2, 3, 4])], (2, 3, 2))[0], rtol=1e-6)


def outputs_of(frames):
    tokens = Tokens(LOGITS, frames)
    return Outputs(streams={}, fused=tokens, heads={"y": tokens})


def test_what_does_not_fit_is_infinite_or_left_out_and_unknown_words_are_nan():
    short = FRAMES.at[3].set(jnp.arange(5) < 3)  # 1 2 2 needs four frames
    batch = Batch({}, {"y": Signal(WORDS, SPOKEN)})
    assert np.isposinf(objectives.CTC("y")(outputs_of(short), batch).value())
    left = objectives.CTC("y", unfit="leave_out")
    total = objectives.CTC("y")(outputs_of(FRAMES), batch).total - ctc(LOGITS, FRAMES, WORDS, SPOKEN)[3]
    found = left(outputs_of(short), batch)
    np.testing.assert_allclose(found.total, total, rtol=1e-6)
    assert found.count == SPOKEN.sum()
    gradient = jax.grad(lambda g: left(Outputs({}, Tokens(g, short), {"y": Tokens(g, short)}), batch).value())(LOGITS)
    assert np.all(np.isfinite(gradient)) and not np.any(gradient[3])
    assert np.isnan(ctc(LOGITS, FRAMES, WORDS.at[0, 0].set(4), SPOKEN)[0])
    with pytest.raises(UserError, match="unfit is 'drop'"):
        objectives.CTC("y", unfit="drop")


def test_frames_are_written_down_as_words():
    assert list(transcription.collapsed(np.array([0, 3, 3, 0, 3, 2, 2, 0]))) == [3, 3, 2]
    assert list(transcription.collapsed(np.array([3, 3, 1]), np.array([True, True, False]))) == [3]


@pytest.fixture(scope="module")
def experiment():
    """Tones written down: word i sounds at its own pitch, and strings of up to three follow one another."""
    rng = np.random.default_rng(0)
    names, time = ("low", "high"), np.arange(800) / 8000
    rows = [rng.integers(0, 2, rng.integers(1, 4)) for _ in range(16)]
    waves = [np.concatenate([np.sin(2 * np.pi * (500, 2000)[i] * time) for i in row]) for row in rows]
    audio = np.zeros((16, 2400), np.float32)
    for row, wave in enumerate(waves):
        audio[row, : len(wave)] = wave
    data = datasets.Arrays.of(
        {"audio": audio, "text": np.array([" ".join(names[i] for i in row) for row in rows])},
        inputs={"audio": fields.Audio(rate=8000)},
        targets={"text": fields.Text(tokenizer=tokenizers.Words())},
        batch=16,
    )
    return Experiment(
        model=Multimodal(
            encoders={"audio": encoders.Audio(rate=8000, mels=16, hop=0.02, width=16, depth=0)},
            fusion=fusion.Joint(width=16, depth=1, heads=2),
            heads={"text": heads.Transcribe(vocabulary=4)},
        ),
        data=data,
        objectives={"text": objectives.CTC("text")},
        evaluators={"train": mmjax.train.Evaluator(data)},
        optim=Optim(lr=1e-2),
        run=Run(steps=2),
    )


def test_a_run_learns_is_measured_and_predicts(experiment, tmp_path):
    longer = dataclasses.replace(experiment, run=Run(steps=60), optim=Optim(lr=1e-2, warmup=5))
    result = mmjax.train(longer, workdir=tmp_path / "run", quiet=True)
    found = result.evaluations["train"]["heads"]["text"]
    assert found["word_error_rate"]["low"] <= found["word_error_rate"]["value"] <= 0.5
    assert found["count"] == 16
    predictor = mmjax.predict.Predictor.load(tmp_path / "run")
    (said,) = predictor(audio=experiment.data.source().rows[0].cells["audio"])
    head = said["heads"]["text"]
    assert set(head["value"].split()) <= {"low", "high"} and 0 < head["probability"] <= 1


def test_too_few_frames_stop_the_run_with_a_line(experiment):
    coarse = encoders.Audio(rate=8000, mels=16, hop=0.1, width=16, depth=0)
    model = experiment.model.clone(encoders={"audio": coarse})
    with pytest.raises(FloatingPointError, match="more words than its recording has frames"):
        mmjax.train(dataclasses.replace(experiment, model=model), quiet=True)


def test_a_vocabulary_that_is_too_small_is_told(experiment):
    model = experiment.model.clone(heads={"text": heads.Transcribe(vocabulary=3)})
    with pytest.raises(UserError, match=r"model.heads.text.vocabulary=3, but the training data has 4 words"):
        mmjax.train(dataclasses.replace(experiment, model=model), quiet=True)
