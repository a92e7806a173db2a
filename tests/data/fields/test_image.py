"""Pictures of every mode, upright, in one size."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from mmjax import fields
from mmjax.data.sources import Row, Rows


def encoded(picture, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def read(cell, **options):
    field = fields.Image("x", **{"size": (4, 6), "channels": 3, "mean": (), "std": (), **options})
    return field.read(Row({"x": cell}, "rows", 1))


def flat(mode, colour):
    return Pillow.new(mode, (6, 4), colour)


@pytest.mark.parametrize(
    ("picture", "pixel"),
    [
        (flat("L", 77), (77, 77, 77)),
        (flat("RGB", (10, 20, 30)), (10, 20, 30)),
        (flat("1", 1), (255, 255, 255)),
        (flat("RGBA", (10, 20, 30, 255)), (10, 20, 30)),
        (flat("RGBA", (10, 20, 30, 0)), (255, 255, 255)),
        (flat("LA", (0, 0)), (255, 255, 255)),
        (flat("RGB", (9, 8, 7)).quantize(4), (9, 8, 7)),
        (Pillow.fromarray(np.full((4, 6), 257 * 99, np.uint16)), (99, 99, 99)),
    ],
    ids=["grey", "colour", "bits", "opaque", "transparent", "grey and clear", "palette", "16 bits"],
)
def test_modes_keep_what_they_show(picture, pixel):
    found = read(encoded(picture))
    assert found.shape == (4, 6, 3) and found.dtype == np.uint8
    assert (found == pixel).all()


def test_cmyk_and_a_palette_with_a_clear_colour():
    assert (read(encoded(flat("CMYK", (0, 255, 255, 0)), "TIFF")) == (255, 0, 0)).all()
    palette = flat("RGB", (5, 6, 7)).quantize(4)
    assert (read(encoded(palette, "GIF", transparency=palette.getpixel((0, 0)))) == 255).all()


def test_grey_from_colour_is_luma():
    assert (read(encoded(flat("RGB", (255, 0, 0))), channels=1) == 76).all()  # 0.299 of 255


@pytest.mark.parametrize("form", ["TIFF", "JPEG", "PNG"])
def test_exif_orientation_is_applied(form):
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255
    lying = Pillow.fromarray(np.rot90(upright).copy())  # as a camera on its side would store it
    exif = Pillow.Exif()
    exif[0x0112] = 6  # "turn right by 90 degrees to view"
    found = read(encoded(lying, form, exif=exif), size=(16, 24), channels=1)[..., 0]
    assert abs(found.astype(int) - upright).max() <= 8
    if form != "PNG":  # whose orientation would need the pixels decoded
        rows = Rows([Row({"x": encoded(lying, form, exif=exif)}, "rows", 1)])
        assert fields.Image("x").fit(rows).size == (16, 24)


def test_resizing_pads_crops_or_stretches():
    wide = Pillow.fromarray(np.tile(np.repeat(np.uint8([0, 255, 255, 0]), 4), (4, 1)))  # 4 x 16
    padded, cropped, stretched = (
        read(encoded(wide), size=8, channels=1, resize=how)[..., 0] for how in ("pad", "crop", "stretch")
    )
    assert (padded[:2] == 255).all() and (padded[6:] == 255).all() and padded[3:5].min() == 0
    dark = read(encoded(wide), size=8, channels=3, background=7)
    assert (dark[:2] == 7).all() and (dark[6:] == 7).all()
    assert (read(np.asarray(wide), size=8, background=7)[:2] == 7).all()
    assert cropped.mean() == 255 and cropped.shape == (8, 8)
    assert stretched[0].tolist()[0] == 0 and (stretched == stretched[0]).all()


def test_resizing_is_antialiased():
    stripes = np.tile(np.uint8([0, 255]), (64, 32))
    assert abs(read(encoded(Pillow.fromarray(stripes)), size=8, channels=1).astype(int) - 127).max() <= 6


def test_fit_learns_size_channels_and_moments():
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 255, (8, 10), dtype=np.uint8) for _ in range(5)]
    rows = [Row({"x": encoded(Pillow.fromarray(array))}, "rows", i) for i, array in enumerate(arrays)]
    rows.append(Row({"x": encoded(flat("L", 0))}, "rows", 9))
    field = fields.Image("x", resize="stretch").fit(Rows(rows[:5]))
    assert field.size == (8, 10) and field.channels == 1
    np.testing.assert_allclose(field.mean, np.mean(arrays), atol=1e-3)
    np.testing.assert_allclose(field.std, np.std(arrays), atol=1e-3)
    batch = field.batch([field.read(row) for row in rows[:5]] + [None])
    np.testing.assert_allclose(batch.values[:5].mean(), 0, atol=1e-4)
    np.testing.assert_allclose(batch.values[:5].std(), 1, atol=1e-4)
    assert not batch.values[5].any() and batch.mask[:, 0].tolist() == [True] * 5 + [False]
    assert fields.Image("x").fit(Rows(rows)).size == (8, 10)


def test_fit_limits_a_size_that_nobody_asked_for_and_sees_colour():
    rows = [Row({"x": encoded(Pillow.new("RGB", (900, 601 + i), (200, 0, 0)))}, "rows", i) for i in range(3)]
    field = fields.Image("x").fit(Rows(rows))
    assert field.size == (224, 224) and field.channels == 3


def test_arrays_are_pictures_too():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (4, 6), dtype=np.uint8)
    assert (read(grey, channels=1)[..., 0] == grey).all()
    assert (read(grey) == grey[..., None]).all()
    real = rng.normal(size=(4, 6, 1))
    np.testing.assert_array_equal(read(real, channels=1), real.astype(np.float32))
    assert read(real, channels=1, size=(2, 3)).shape == (2, 3, 1)
    with pytest.raises(Exception, match="x holds NaN"):
        read(np.full((4, 6), np.nan))
    with pytest.raises(Exception, match="x is no picture"):
        read(np.zeros((4, 6, 2), np.uint8))


def test_no_mean_leaves_pixels_for_the_encoder():
    field = fields.Image("x", size=2, channels=1, mean=(), std=())
    assert field.batch([np.full((2, 2, 1), 9, np.uint8), None]).values.dtype == np.uint8
