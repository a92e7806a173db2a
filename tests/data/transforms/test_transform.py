"""What each transform does, and leaves alone."""

import numpy as np
import pytest

from mmjax import transforms

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 255, (12, 10, 3), dtype=np.uint8)
FLOATS = RNG.normal(size=(12, 10, 1)).astype(np.float32)
WAVE = np.sin(np.arange(400) / 5).astype(np.float32)
LOG = RNG.normal(size=(50, 3)).astype(np.float32)
IDS = np.arange(2, 22, dtype=np.int32)
VIDEO = np.stack([PICTURE, PICTURE, PICTURE])

EVERY = [
    (transforms.Crop("x"), (PICTURE, FLOATS)),
    (transforms.Flip("x", probability=1.0), (PICTURE, FLOATS)),
    (transforms.Affine("x"), (PICTURE, FLOATS)),
    (transforms.Erase("x", probability=1.0), (PICTURE, FLOATS)),
    (transforms.Light("x"), (PICTURE, FLOATS)),
    (transforms.CropTime("x", length=20), (WAVE, LOG)),
    (transforms.Shift("x"), (WAVE, LOG)),
    (transforms.Gain("x"), (WAVE, LOG)),
    (transforms.Noise("x"), (WAVE, LOG)),
    (transforms.Speed("x"), (WAVE, LOG)),
    (transforms.Scale("x"), (LOG,)),
    (transforms.Jitter("x"), (LOG,)),
    (transforms.DropTokens("x", probability=0.5), (IDS,)),
]


def apply(transform, value, seed=0):
    return transform({"x": value, "other": IDS}, np.random.default_rng(seed))["x"]


@pytest.mark.parametrize(("transform", "values"), EVERY, ids=lambda part: type(part).__name__)
def test_the_contract(transform, values):
    for value in values:
        before = value.copy()
        given = {"x": value, "other": IDS}
        out = transform(given, np.random.default_rng(2))
        np.testing.assert_array_equal(value, before)
        assert given["x"] is value and out["other"] is IDS
        assert out["x"].dtype == value.dtype and out["x"].ndim == value.ndim
        assert out["x"].shape != value.shape or (out["x"] != value).any()
        np.testing.assert_array_equal(out["x"], apply(transform, value, 2))
        if value.ndim == 3:
            assert out["x"].shape == value.shape


@pytest.mark.parametrize(("transform", "values"), EVERY, ids=lambda part: type(part).__name__)
def test_an_absent_modality_stays_absent(transform, values):
    assert transform({"x": None, "other": IDS}, np.random.default_rng(1)) == {"x": None, "other": IDS}


@pytest.mark.parametrize("name", ["Crop", "Flip", "Affine", "Light"])
@pytest.mark.parametrize("picture", [PICTURE, FLOATS], ids=["bytes", "floats"])
def test_every_frame_of_a_video_is_changed_alike(name, picture):
    transform = getattr(transforms, name)("x")
    for seed in range(4):
        video = apply(transform, np.stack([picture, picture, picture]), seed)
        assert video.dtype == picture.dtype
        for frame in video:
            np.testing.assert_allclose(frame, apply(transform, picture, seed), atol=1e-6)


def test_the_same_place_is_erased_in_every_frame_and_time_is_cropped():
    erased = (apply(transforms.Erase("x", probability=1.0), VIDEO) != VIDEO).any(-1)
    assert erased.any() and erased.any(0).sum() <= 1.02 * erased[0].sum() + 1
    assert apply(transforms.CropTime("x", length=2), VIDEO).shape == (2, 12, 10, 3)


def test_crop_moves_by_at_most_the_margin():
    out = apply(transforms.Crop("x", margin=2, fill=7), np.full((5, 5, 1), 9, np.uint8), seed=3)
    assert set(np.unique(out)) <= {7, 9} and (out == 9).sum() >= 9
    np.testing.assert_array_equal(apply(transforms.Crop("x", margin=0), PICTURE), PICTURE)


def test_flip_mirrors_with_its_probability():
    np.testing.assert_array_equal(apply(transforms.Flip("x", 1.0), PICTURE), PICTURE[:, ::-1])
    np.testing.assert_array_equal(apply(transforms.Flip("x", 1.0, axis="vertical"), PICTURE), PICTURE[::-1])
    flipped = sum((apply(transforms.Flip("x", 0.25), PICTURE, seed) != PICTURE).any() for seed in range(400))
    assert 70 < flipped < 130


def test_affine_by_nothing_is_nothing_and_by_a_quarter_turn_is_a_rotation(monkeypatch):
    np.testing.assert_array_equal(apply(transforms.Affine("x", 0, 0, 0), PICTURE), PICTURE)
    square = PICTURE[:9, :9]

    class Always:
        def uniform(self, low, high, size):
            return np.array([1.0, 0, 0, 0])

    turned = transforms.Affine("x", degrees=90)({"x": square}, Always())["x"]
    assert min(abs(turned.astype(int) - np.rot90(square, k)).max() for k in (1, 3)) <= 1


def test_affine_agrees_with_scipy():
    from scipy.ndimage import map_coordinates

    class Always:
        def uniform(self, low, high, size):
            return np.array([0.3, 0.2, -0.4, 0.5])

    out = transforms.Affine("x", degrees=30, shift=0.5, scale=0.2, fill=0.5)({"x": FLOATS}, Always())["x"]
    height, width = FLOATS.shape[:2]
    angle, size = np.radians(9), 1.1
    y, x = np.mgrid[:height, :width].astype(float)
    y, x = y - (height - 1) / 2 - 0.1 * height, x - (width - 1) / 2 + 0.2 * width
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / size
    at = np.einsum("ij,jhw->ihw", turn, np.stack([y, x])) + np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    expected = map_coordinates(FLOATS[..., 0], at, order=1, mode="nearest")
    inside = ((at >= 0) & (at <= np.array([height - 1, width - 1])[:, None, None])).all(axis=0)
    outside = ((at < -0.5) | (at > np.array([height, width])[:, None, None] - 0.5)).any(axis=0)
    assert inside.sum() > 50 and outside.sum() > 5
    np.testing.assert_allclose(out[..., 0][inside], expected[inside], atol=1e-4)
    np.testing.assert_array_equal(out[..., 0][outside], 0.5)


def test_erase_covers_a_rectangle_of_limited_area():
    blank = np.zeros((20, 20, 1), np.float32)
    blank[0, 0] = 1
    for seed in range(20):
        changed = apply(transforms.Erase("x", 1.0, area=0.25), blank, seed) != blank
        assert changed.sum() <= 0.25 * 400 * 1.3 + 40
    assert (apply(transforms.Erase("x", 0.0), PICTURE) == PICTURE).all()


def test_light_keeps_pixels_in_their_range():
    bright = np.full((4, 4, 1), 250, np.uint8)
    for seed in range(20):
        out = apply(transforms.Light("x", brightness=0.5), bright, seed)
        assert out.dtype == np.uint8 and (out >= 120).all()


def test_crop_time_takes_every_part_and_leaves_short_ones():
    starts = {int(apply(transforms.CropTime("x", length=3), np.arange(6.0), seed)[0]) for seed in range(60)}
    assert starts == {0, 1, 2, 3}
    np.testing.assert_array_equal(apply(transforms.CropTime("x", length=9), np.arange(6.0)), np.arange(6.0))


def test_shift_fills_with_silence_and_room_widens():
    for seed in range(30):
        out = apply(transforms.Shift("x", fraction=0.5), np.arange(1.0, 9.0), seed)
        real = out[out > 0]
        assert len(out) == 8 and len(real) >= 4 and (np.diff(real) == 1).all()
        wide = apply(transforms.Shift("x", fraction=0.0, room=20), np.arange(1.0, 9.0), seed)
        assert len(wide) == 20 and wide[wide > 0].tolist() == list(range(1, 9))


def test_noise_has_the_ratio_that_was_asked_for():
    out = apply(transforms.Noise("x", snr=(10.0, 10.0)), np.tile(WAVE, 50))
    ratio = np.mean(np.tile(WAVE, 50) ** 2) / np.mean((out - np.tile(WAVE, 50)) ** 2)
    assert abs(10 * np.log10(ratio) - 10) < 0.2
    assert not apply(transforms.Noise("x"), np.zeros(9, np.float32)).any()


def test_gain_and_speed_by_their_figures():
    loud = [np.abs(apply(transforms.Gain("x", decibels=6), WAVE, seed)).max() for seed in range(50)]
    assert 0.5 <= min(loud) < 0.6 and 1.7 < max(loud) <= 2.0
    lengths = [len(apply(transforms.Speed("x", rate=0.25), WAVE, seed)) for seed in range(50)]
    assert 319 <= min(lengths) < 340 and 460 < max(lengths) <= 500


def test_dropping_tokens_leaves_one_or_makes_them_unknown():
    assert len(apply(transforms.DropTokens("x", probability=1.0), IDS)) == 1
    unknown = apply(transforms.DropTokens("x", probability=1.0, unknown=True), IDS)
    assert len(unknown) == len(IDS) and (unknown == 1).sum() == len(IDS) - 1
    kept = apply(transforms.DropTokens("x", probability=0.5), IDS)
    assert (np.diff(kept) > 0).all() and set(kept) <= set(IDS)


def test_shift_that_wraps_loses_nothing():
    wave = np.arange(1.0, 101.0)
    moved = apply(transforms.Shift("x", fraction=0.5, wrap=True), wave, 3)
    np.testing.assert_array_equal(np.sort(moved), wave)
    assert moved[0] != wave[0]
