"""Videos, series and tables that are partly hidden: what is hidden reaches nothing, costs nothing, and is learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import Multimodal, encoders, flops, fusion, heads, nn, objectives, views
from mmjax.core import Batch, Signal, UserError, trees
from mmjax.train import Adam, Constant, Optim, make_step, start
from mmjax.train.state import make_init
from mmjax.train.viewed import seen

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
SMALL = {"width": 8, "heads": 2, "mlp": 2.0}
FILMS = Signal(RNG.normal(size=(4, 6, 6, 6, 1)).astype(np.float32), np.arange(6) < np.asarray([6, 6, 3, 0])[:, None])
TUBES = views.Hide({"x": views.Tubes(2, 2)}, 0.7)  # 9 places at 3 times, 3 of them kept
SERIES = Signal(RNG.normal(size=(4, 7, 3)).astype(np.float32), np.arange(7) < np.asarray([7, 7, 3, 0])[:, None])
CELLS = Signal(np.asarray([[0.5, 2, -1], [1.5, 0, 2], [3, 1, 7], [0, 0, 0]], np.float32), np.ones((4, 3), bool))


STILL = encoders.Image(width=6, depth=0, patch=3, convolutions=0)


def films(**changes):
    return encoders.Video(**{**SMALL, "depth": 1, "time_depth": 1, "patch": 2, "frames": 2, "pooled": False, **changes})


def together(**changes):
    """All tubes see all others."""
    return encoders.Chain(films(depth=0, time_depth=0, **changes), nn.Trunk(depth=1, heads=2, mlp=2.0))


def model(encoder, numbers):
    head = heads.Reconstruct(numbers, stream="x", width=8, heads=2, mlp=2.0)
    return Multimodal({"x": encoder}, fusion.Towers(width=8, bare=("x",), unit=False), {"x": head})


def hidden(whole, view, signal):
    """The batch after the view, and random parameters of the model."""
    batch = Batch({"x": signal}, {})
    shapes = jax.eval_shape(lambda b: make_init(whole, Optim().build(1), seen(view, whole, b))(KEY), batch)
    params = jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape) * 0.4, leaf.dtype), shapes.params)

    def viewed(params, batch):
        return view(batch, said=lambda inputs: whole.apply({"params": params}, inputs, train=False), key=KEY)

    return {"params": params}, jax.jit(viewed)(params, batch)


CASES = {
    "factorised": (films(), 8, TUBES, FILMS),
    "rotary": (films(positions="rotary"), 8, TUBES, FILMS),
    "together": (together(), 8, TUBES, FILMS),
    "stills": (encoders.Frames(STILL, **SMALL, depth=1), 36, views.Hide({"x": views.Stills()}, 0.5), FILMS),
    "sensor": (encoders.Sensor(**SMALL, patch=2, depth=1), 6, views.Hide({"x": views.Steps(2)}, 0.5), SERIES),
    "table": (encoders.Table((0, 3, 0), **SMALL, depth=1), 3, views.Hide({"x": views.Cells((0, 3, 0))}, 0.4), CELLS),
    "recurrent": (
        encoders.Chain(encoders.Sensor(**SMALL, patch=2, depth=0), nn.Recurrent(4, bidirectional=True)),
        6,
        views.Hide({"x": views.Steps(2)}, 0.5),
        SERIES,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_hidden_reaches_nothing_and_all_parameters_learn(name):
    encoder, numbers, view, signal = CASES[name]
    whole = model(encoder, numbers)
    params, batch = hidden(whole, view, signal)
    each = np.asarray(batch.targets["x"].mask).all(axis=2)
    assert each[:2].any(axis=1).all() and each[:2].sum() < each[:2].size
    places = np.broadcast_to(where(name, each), signal.values.shape)
    assert places.any()
    given = batch.inputs["x"]
    other = given.replace(values=np.where(places, 1.0 if name == "table" else 7.0, signal.values).astype(np.float32))

    def loss(params, signal):
        out = whole.apply(params, {"x": signal}, train=False)
        return objectives.Reconstruction("x", normed=False)(out, batch).value(), out

    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    one, two = run(params, given), run(params, other)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    for path, gradient in trees.flatten(one[1]).items():
        assert np.all(np.isfinite(gradient)) and np.any(gradient), path


def where(name, each):
    """Which numbers of the signal are in tokens that are hidden."""
    if name == "table":
        return each
    if name == "stills":
        return each[:, :, None, None, None]
    if name in ("sensor", "recurrent"):
        return each.repeat(2, axis=1)[:, :7, None]
    return each.reshape(-1, 3, 3, 3).repeat(2, axis=1).repeat(2, axis=2).repeat(2, axis=3)[..., None]


def test_the_same_places_are_hidden_at_all_times_that_are_there():
    batch = hidden(model(films(), 8), TUBES, FILMS)[1]
    index = np.asarray(batch.inputs["x"].kept.index).reshape(4, 3, 3)
    assert np.all(index[:2] % 9 == index[:2, :1] % 9) and np.all(index[:2] // 9 == np.arange(3)[:, None])
    assert np.all(index[2, :2] >= 0) and np.all(index[2, 2] == -1) and np.all(index[3] == -1)
    asked = np.asarray(batch.targets["x"].mask).all(axis=2)
    np.testing.assert_array_equal(asked.sum(axis=1), [18, 18, 12, 0])


@pytest.mark.parametrize("encoder", [films(), together()], ids=["factorised", "together"])
def test_trunks_work_on_seen_tubes_alone(encoder):
    whole = model(encoder, 8)
    params, batch = hidden(whole, TUBES, FILMS)

    def cost(inputs):
        counted = flops.by_scope(lambda p: whole.apply(p, inputs, train=False), params)
        return sum(n for scope, n in counted.items() if "encoders_x" in scope and "embed" not in scope)

    def trunk(rows, n):
        return 2 * rows * (4 * n * 64 + 2 * n * n * 8 + 2 * n * 8 * 16)

    def wanted(places):
        apart = trunk(4 * 3, places) + trunk(4 * places, 3)
        return apart if isinstance(encoder, encoders.Video) else trunk(4, 3 * places)

    assert (cost({"x": FILMS}), cost(batch.inputs)) == (wanted(9), wanted(3))


def test_seen_tubes_are_what_the_encoder_makes_of_them_where_nothing_is_hidden():
    whole = model(films(), 8)
    params, batch = hidden(whole, views.Hide({"x": views.Tubes(2, 2)}, 0.0), FILMS)
    one = whole.apply(params, batch.inputs, train=False)
    two = whole.apply(params, {"x": FILMS}, train=False)
    np.testing.assert_allclose(one.heads["x"], two.heads["x"], atol=1e-5)


def test_an_encoder_that_pools_takes_every_tensor():
    learned = hidden(model(films(), 8), TUBES, FILMS)[0]["params"]
    own = Multimodal({"x": films(pooled=True)}, fusion.Late(width=8), {"label": heads.Classify(3)})
    params = jax.eval_shape(lambda: own.init(KEY, {"x": FILMS}, train=False))["params"]
    encoder = {path for path in trees.flatten(params) if path.startswith("encoders_x")}
    assert encoder and encoder <= set(start.match({"params": params}, {"params": learned}, "mae").taken)


def test_guessing_a_light_that_comes_and_goes_is_learned():
    """Films of any moment to begin with, running either way; what places show at the other times tells the hidden."""
    begin, pace = RNG.uniform(0, 6, (32, 1)), RNG.choice([-1, 1], (32, 1))
    light = np.sin((begin + pace * np.arange(6)) * np.pi / 3)[:, :, None, None, None]
    films_of = Signal(np.broadcast_to(light, (32, 6, 6, 6, 1)).astype(np.float32), np.ones((32, 6), bool))
    whole, batch = model(films(), 8), Batch({"x": films_of}, {})
    optimizer = Optim(lr=1e-2, rule=Adam(), schedule=Constant(), warmup=0).build(160)
    goal = {"x": objectives.Reconstruction("x", normed=False)}
    state = make_init(whole, optimizer, seen(TUBES, whole, batch))(KEY)
    step = make_step(whole, goal, optimizer, views=TUBES)

    def once(state, _):
        state, metrics = step(state, batch)
        return state, metrics["loss"]

    losses = np.asarray(jax.jit(lambda state: jax.lax.scan(once, state, length=160))(state)[1])
    assert losses[-10:].mean() < 0.2 < 0.45 < losses[:10].mean()  # the variance is a half


def test_what_cannot_be_hidden_is_told():
    kept = hidden(model(films(), 8), TUBES, FILMS)[1].inputs["x"]
    with pytest.raises(UserError, match="set pooled=False"):
        films(pooled=True).init(KEY, kept, train=False)
    encoder, numbers, view, signal = CASES["sensor"]
    series = hidden(model(encoder, numbers), view, signal)[1].inputs["x"]
    for change in ({"standardise": True}, {"independent": True}, {"stride": 1}, {"convolutions": 1}):
        with pytest.raises(UserError, match="hidden patches need"):
            encoders.Sensor(**SMALL, patch=2, depth=1, **change).init(KEY, series, train=False)
