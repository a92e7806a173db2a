"""What is hidden changes nothing that is seen, costs nothing, and is all that is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import Multimodal, encoders, flops, fusion, heads, objectives, views
from mmjax.core import Batch, Kept, Outputs, Signal, Tokens, UserError, trees
from mmjax.train import start

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
SMALL = {"width": 8, "heads": 2, "mlp": 2.0}
PICTURES = Signal(RNG.normal(size=(5, 8, 8, 1)).astype(np.float32), np.asarray([[True]] * 4 + [[False]]))
TEXT = Signal(RNG.integers(0, 11, (5, 6)).astype(np.int32), np.arange(6) < np.asarray([6, 4, 0, 1, 5])[:, None])


def image(**changes):
    return encoders.Image(**{**SMALL, "depth": 2, "patch": 2, "convolutions": 0, **changes})


def alone(head=None, **changes):
    shown = fusion.Towers(width=8, bare=("image",), unit=False)
    found = {"image": head or heads.Reconstruct(4, stream="image", width=8, heads=2)}
    return Multimodal({"image": image(**changes)}, shown, found)


def joint():
    told = {"listens": True, "width": 8, "heads": 2}
    return Multimodal(
        {"image": image(depth=0), "text": encoders.Text(11, **SMALL, depth=0)},
        fusion.Joint(**SMALL, depth=1),
        {"image": heads.Reconstruct(4, "image", **told), "text": heads.Reconstruct(11, "text", **told)},
    )


BOTH = views.Hide({"image": views.Patches(2), "text": views.Words()}, (0.3, 0.8))


def hidden(model, view, inputs, key=KEY):
    """The batch after the view, and the model's parameters."""
    plain = Batch(inputs, {})

    def begun(plain):
        fresh = lambda inputs: model.init_with_output(KEY, inputs, train=False)[0]  # noqa: E731
        return model.init(KEY, view(plain, said=fresh, key=key).inputs, train=False)

    def viewed(params, plain):
        return view(plain, said=lambda inputs: model.apply(params, inputs, train=False), key=key)

    params = jax.jit(begun)(plain)
    return params, jax.jit(viewed)(params, plain)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary", "relative"])
def test_pixels_of_hidden_patches_reach_nothing_that_is_seen(positions):
    fields = {"class_tokens": 1, "positions": positions}
    model = alone(heads.Reconstruct(4, stream="image", class_tokens=1, width=8, heads=2), **fields)
    view = views.Hide({"image": views.Patches(2)}, first={"image": 1})
    params, batch = hidden(model, view, {"image": PICTURES})
    kept, target = batch.inputs["image"].kept, batch.targets["image"]
    assert kept.index.shape == (5, 5) and np.all(kept.index[:4, 0] == 0) and np.all(kept.index[4] == -1)
    each = np.asarray(target.mask).all(axis=2)
    np.testing.assert_array_equal(each.sum(axis=1), [12, 12, 12, 12, 0])
    spots = each.reshape(5, 4, 4).repeat(2, axis=1).repeat(2, axis=2)[..., None]
    other = batch.inputs["image"].replace(values=np.where(spots, 7.0, PICTURES.values))
    run = jax.jit(lambda signal: model.apply(params, {"image": signal}, train=False))
    one, two = run(batch.inputs["image"]), run(other)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    assert one.heads["image"].shape == (5, 16, 4) and not np.any(one.heads["image"][4])
    again = hidden(model, view, {"image": PICTURES})[1]
    jax.tree.map(np.testing.assert_array_equal, batch, again)
    assert np.any(
        hidden(model, view, {"image": PICTURES}, jax.random.key(1))[1].inputs["image"].kept.index != kept.index
    )


def test_seen_tokens_are_what_the_encoder_makes_of_them_alone():
    """A trunk of no layers, and one in which nothing is hidden, show which tokens were kept."""
    for depth, share in ((0, 0.5), (2, 0.0)):
        model = alone(depth=depth)
        params, batch = hidden(model, views.Hide({"image": views.Patches(2)}, share), {"image": PICTURES})
        seen = model.apply(params, batch.inputs, train=False).streams["image"]
        whole = model.apply(params, {"image": PICTURES}, train=False).streams["image"].values
        index = np.maximum(seen.kept.index, 0)[..., None]
        np.testing.assert_allclose(seen.values[:4], np.take_along_axis(np.asarray(whole), index, 1)[:4], atol=1e-6)


def test_the_trunk_works_on_seen_tokens_alone():
    model = alone()
    params, batch = hidden(model, views.Hide({"image": views.Patches(2)}), {"image": PICTURES})

    def cost(inputs):
        counted = flops.by_scope(lambda p: model.apply(p, inputs, train=False), params)
        return sum(n for scope, n in counted.items() if "encoders_image" in scope and "trunk" in scope)

    tokens = lambda n: 2 * 5 * 2 * (4 * n * 64 + 2 * n * n * 8 + 2 * n * 8 * 16)  # noqa: E731
    assert cost({"image": PICTURES}) == tokens(16) and cost(batch.inputs) == tokens(4)


def test_loss_and_gradient_are_those_of_numpy():
    said, mask = RNG.normal(size=(5, 6, 4)), RNG.random((5, 6, 1)) < 0.6
    target = RNG.normal(size=(5, 6, 4))
    with jax.enable_x64(True):
        batch = Batch({}, {"y": Signal(jnp.asarray(target), jnp.broadcast_to(mask, target.shape))})

        def loss(scores):
            none = Tokens(jnp.zeros((5, 1, 1)), jnp.ones((5, 1), bool))
            return objectives.Reconstruction("y")(Outputs({}, none, {"y": scores}), batch).value()

        value, gradient = jax.value_and_grad(loss)(jnp.asarray(said))
    normed = (target - target.mean(-1, keepdims=True)) / np.sqrt(target.var(-1, ddof=1, keepdims=True) + 1e-6)
    count = mask.sum() * 4
    np.testing.assert_allclose(value, np.where(mask, (said - normed) ** 2, 0).sum() / count, rtol=1e-6)
    np.testing.assert_allclose(gradient, np.where(mask, 2 * (said - normed), 0) / count, rtol=1e-6, atol=1e-9)


def test_a_classifier_takes_every_tensor_of_the_encoder():
    learned = hidden(alone(), views.Hide({"image": views.Patches(2)}), {"image": PICTURES})[0]["params"]
    own = Multimodal({"image": image()}, fusion.Late(width=8), {"label": heads.Classify(3)})
    params = own.init(KEY, {"image": PICTURES}, train=False)["params"]
    taken = start.match({"params": params}, {"params": learned}, "mae").taken
    encoder = {path for path in trees.flatten(params) if path.startswith("encoders_image")}
    assert encoder and encoder <= set(taken)


def test_a_missing_modality_changes_nothing_else_and_is_asked_for_nothing():
    model = joint()
    params, batch = hidden(model, BOTH, {"image": PICTURES, "text": TEXT})
    asked = np.asarray(batch.targets["text"].mask)
    assert not asked[2].any() and not asked[3].any() and np.all(asked <= TEXT.mask)
    assert not np.any(batch.targets["image"].mask[4]) and np.any(batch.targets["image"].mask[2])
    text = batch.inputs["text"]
    np.testing.assert_array_equal(np.sum(text.kept.index >= 0, axis=1) + asked.sum(axis=1), TEXT.mask.sum(axis=1))
    rubbish = {**batch.inputs, "text": text.replace(values=np.where(text.mask, text.values, 9))}
    run = jax.jit(lambda inputs: model.apply(params, inputs, train=False).heads)
    jax.tree.map(np.testing.assert_array_equal, run(batch.inputs), run(rubbish))

    def loss(params, batch):
        said = model.apply(params, batch.inputs, train=False)
        words, pixels = objectives.CrossEntropy("text"), objectives.Reconstruction("image")
        return words(said, batch).value() + pixels(said, batch).value()

    for path, gradient in trees.flatten(jax.jit(jax.grad(loss))(params, batch)).items():
        assert np.all(np.isfinite(gradient)) and np.any(gradient), path
    gone = hidden(model, BOTH, {"image": PICTURES, "text": TEXT.replace(mask=np.zeros_like(TEXT.mask))})[1]
    assert not np.any(gone.targets["text"].mask)
    jax.tree.map(np.testing.assert_array_equal, gone.inputs["image"], batch.inputs["image"])


def test_squares_of_spectra_are_what_the_encoder_sees():
    frames = Signal(RNG.normal(size=(2, 9, 6)).astype(np.float32), np.ones((2, 9), bool))
    encoder = encoders.Spectrogram(**SMALL, mels=6, patch=2, stride=2, depth=0, class_tokens=0, positions="none")
    params = encoder.init(KEY, frames, train=False)
    cut = views.Squares(2, mels=6)(frames)
    kernel, bias = params["params"]["embed"]["kernel"], params["params"]["embed"]["bias"]
    np.testing.assert_allclose(cut @ kernel.reshape(4, -1) + bias, encoder.apply(params, frames, train=False).values,
                               atol=1e-5)  # fmt: skip


def test_what_cannot_be_hidden_is_told():
    with pytest.raises(UserError, match="convolutions"):
        hidden(alone(convolutions=1), views.Hide({"image": views.Patches(2)}), {"image": PICTURES})
    with pytest.raises(UserError, match="tokens of 'image'"):
        hidden(alone(), views.Hide({"image": views.Patches(4)}), {"image": PICTURES})
    with pytest.raises(UserError, match="share=1"):
        views.Hide({}, share=1.0)
    kept = Kept(jnp.zeros((5, 1), jnp.int32), jnp.ones((5, 1), bool))
    deaf = alone().clone(encoders={"image": encoders.LeNet()})
    with pytest.raises(UserError, match="cannot leave out"):
        deaf.init(KEY, {"image": PICTURES.replace(kept=kept)}, train=False)
