"""What every encoder, fusion and head promises, run over the table in tests/descriptors.

Each row compiles one function, its output and gradients together, which most tests share.
"""

import functools
import inspect
import json

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import descriptors as table
from mmjax.core import Factored, Outputs, Signal, Tokens, UserError, plain, trees

every = pytest.mark.parametrize("row", table.MODULES, ids=str)
encoders = pytest.mark.parametrize("row", table.ENCODERS, ids=str)
fusions = pytest.mark.parametrize("row", table.FUSIONS, ids=str)
tokens_out = pytest.mark.parametrize("row", table.ENCODERS + table.FUSIONS, ids=str)
layered = pytest.mark.parametrize("row", [row for row in table.MODULES if hasattr(row.module, "remat")], ids=str)
keeping = pytest.mark.parametrize("row", [row for row in table.MODULES if row.statistics], ids=str)
mixing = pytest.mark.parametrize("row", [row for row in table.MODULES if not (row.packs or row.apart)], ids=str)
packing = pytest.mark.parametrize("row", [row for row in table.MODULES if row.packs], ids=str)

KEY = jax.random.key(0)


def output(row, params, inputs, **changes):
    """What comes out: tokens, or what a head says, be it a decoder's own."""
    held = {"params": params, **statistics(row.name)}
    out = changed(row.module, **changes).apply(held, inputs, train=False)
    return out.heads[row.module.head] if isinstance(out, Outputs) else out


def changed(module, **changes):
    """The part, and parts that are its fields, with some fields replaced wherever they are."""
    parts = {name: getattr(module, name) for name in plain.fields(module)}
    inner = {name: changed(part, **changes) for name, part in parts.items() if isinstance(part, linen.Module)}
    return module.clone(**inner, **{name: value for name, value in changes.items() if name in parts})


def floats(out):
    if isinstance(out, Factored):
        return jnp.einsum("...bnd,...dk->...bnk", out.features, out.kernel)
    return out.values if isinstance(out, Tokens) else out


@functools.cache
def parameters(name):
    """Random everywhere, so that no bias is 0 and no scale is 1."""
    rng = np.random.default_rng(0)
    shapes = variables(name).get("params", {})
    with jax.ensure_compile_time_eval():  # kept for other tests, whoever asks first
        return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(rng.normal(size=leaf.shape) * 0.4, leaf.dtype)), shapes)


@functools.cache
def statistics(name):
    """Random means about 0 and variances about 1, of parts that keep running ones; nothing for the others."""
    rng = np.random.default_rng(1)
    shapes = {key: tree for key, tree in variables(name).items() if key != "params"}
    with jax.ensure_compile_time_eval():
        return trees.map_paths(
            lambda path, leaf: jnp.asarray(
                np.asarray(rng.uniform(-0.2, 0.2, leaf.shape) + path.endswith("var"), leaf.dtype)
            ),
            shapes,
        )


@functools.cache
def variables(name):
    """Shapes of all the variables that a row's part makes."""
    return jax.eval_shape(lambda: by_name(name).module.init(KEY, by_name(name).inputs, train=False))


@functools.cache
def pass_of(name, **changes):
    """Compiled: output, and gradients of a fixed random projection of it by parameters."""
    row = by_name(name)

    def loss(params, inputs):
        out = output(row, params, inputs, **changes)
        weights = jax.random.normal(jax.random.key(1), floats(out).shape)
        return jnp.sum(weights * floats(out).astype(jnp.float32)), out

    return jax.jit(jax.grad(loss, has_aux=True))


def by_name(name):
    return next(row for row in table.MODULES if row.name == name)


def is_masked(value):
    return hasattr(value, "mask")


def over_signals(function, inputs):
    return jax.tree.map(function, inputs, is_leaf=is_masked)


def spoilt(signal):
    """Rubbish wherever the mask is False: NaN, or a number that no one expects."""
    values, mask = np.asarray(signal.values), np.asarray(signal.mask)
    rubbish = np.nan if np.issubdtype(values.dtype, np.floating) else np.iinfo(values.dtype).max
    mask = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
    return signal.replace(values=jnp.asarray(np.where(mask, values, np.asarray(rubbish, values.dtype))))


def absent(signal):
    return spoilt(signal.replace(mask=jnp.asarray(np.zeros(signal.mask.shape, bool))))


def same(one, other, **tolerance):
    jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), one, other)


@every
def test_masked_positions_change_nothing(row):
    run = pass_of(row.name)
    one = run(parameters(row.name), row.inputs)
    other = run(parameters(row.name), over_signals(spoilt, row.inputs))
    same(one, other, rtol=0, atol=0)


@every
def test_every_parameter_learns(row):
    gradients, _ = pass_of(row.name)(parameters(row.name), row.inputs)
    for path, gradient in trees.flatten(gradients).items():
        assert np.all(np.isfinite(gradient)), path
        assert np.abs(gradient).max() > 1e-5, path


@every
def test_nothing_at_all_is_finite(row):
    gradients, out = pass_of(row.name)(parameters(row.name), over_signals(absent, row.inputs))
    for path, leaf in trees.flatten((gradients, out)).items():
        assert np.all(np.isfinite(leaf)), path
    if isinstance(out, Tokens):
        assert not np.asarray(out.mask).any()
        assert not np.asarray(out.values).any()


@functools.cache
def training_of(name):
    """As ``pass_of``, in training: output with the new statistics, and gradients."""
    row = by_name(name)

    def loss(params, inputs):
        held = {"params": params, **statistics(name)}
        out, new = row.module.apply(held, inputs, train=True, mutable=list(statistics(name)))
        return jnp.sum(jax.random.normal(jax.random.key(1), floats(out).shape) * floats(out)), (out, new)

    return jax.jit(jax.grad(loss, has_aux=True))


@keeping
def test_masked_positions_are_in_no_statistics(row):
    run = training_of(row.name)
    one = run(parameters(row.name), row.inputs)
    same(one, run(parameters(row.name), over_signals(spoilt, row.inputs)), rtol=0, atol=0)
    for path, gradient in trees.flatten(one[0]).items():
        assert np.abs(gradient).max() > 1e-5, path
    old = trees.flatten(statistics(row.name))
    for path, new in trees.flatten(one[1][1]).items():
        assert np.all(old[path] != new), path


@keeping
def test_nothing_at_all_leaves_statistics_as_they_are(row):
    gradients, (out, new) = training_of(row.name)(parameters(row.name), over_signals(absent, row.inputs))
    same(new, statistics(row.name), rtol=0, atol=0)
    for path, leaf in trees.flatten((gradients, out)).items():
        assert np.all(np.isfinite(leaf)), path


@tokens_out
def test_masks_tell_how_many_tokens_are_real(row):
    _, out = pass_of(row.name)(parameters(row.name), row.inputs)
    assert out.mask.shape == out.values.shape[:2]
    assert tuple(np.asarray(out.mask).sum(axis=1)) == row.real
    assert not np.any(np.asarray(out.values)[~np.asarray(out.mask)])


@encoders
def test_the_token_count_is_known_beforehand(row):
    _, out = pass_of(row.name)(parameters(row.name), row.inputs)
    front = getattr(row.module, "front", row.module)
    sizes = row.inputs.values.shape[1 : 1 + len(inspect.signature(front.tokens).parameters)]
    cut = isinstance(row.inputs, Signal) and row.inputs.positions is not None  # into tokens already
    assert out.values.shape == (3, row.inputs.mask.shape[1] if cut else row.module.tokens(*sizes), row.width)


@every
def test_parameters_number_what_paper_says(row):
    shapes = dict(variables(row.name))
    assert trees.count(shapes.pop("params", {})) == row.parameters
    assert trees.count(shapes) == row.statistics
    assert set(shapes) == ({"batch_stats"} if row.statistics else set())


@every
def test_survives_json(row):
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(row.module)))) == row.module


@functools.cache
def shallow_of(name):
    """Compiled: output without layers. tests/nn/test_layers.py does those, tests/train/test_seeds.py their seeds."""
    row = by_name(name)
    return jax.jit(lambda params, inputs: output(row, params, inputs, depth=0))


@every
def test_eager_equals_compiled(row):
    eager = output(row, parameters(row.name), row.inputs, depth=0)
    same(eager, shallow_of(row.name)(parameters(row.name), row.inputs), rtol=1e-5, atol=1e-5)


@every
def test_seeds_batch_under_vmap(row):
    keys = jax.random.split(KEY, 2)

    @jax.jit
    def both(keys):
        module = changed(row.module, depth=0)
        params = jax.vmap(lambda key: module.init(key, row.inputs, train=False).get("params", {}))(keys)
        return params, jax.vmap(lambda params: output(row, params, row.inputs, depth=0), axis_size=2)(params)

    params, out = both(keys)
    second = jax.tree.map(lambda leaf: np.asarray(leaf)[1], params)
    alone = shallow_of(row.name)(second, row.inputs)
    same(jax.tree.map(lambda leaf: np.asarray(leaf)[1], out), alone, rtol=1e-5, atol=1e-5)
    assert row.drawn == np.any(np.asarray(floats(out)[0]) != np.asarray(floats(out)[1]))


@layered
def test_scan_and_remat_equal_unrolled(row):
    alike = len(set(getattr(row.module, "bands", ()))) < 2  # one layer is compiled for all
    scan = {"scan": True} if hasattr(row.module, "scan") and alike else {}
    reshape = stacked if scan else lambda params: params
    params = reshape(parameters(row.name))
    module = row.module.clone(remat="recompute", **scan)
    shapes = jax.eval_shape(lambda: module.init(KEY, row.inputs, train=False)["params"])
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, params)
    if row.module.__class__.__name__ not in ("Text", "Joint", "Bottleneck"):
        return  # the same trunk: compiling it once more would show nothing
    gradients, out = pass_of(row.name)(parameters(row.name), row.inputs)
    other_gradients, other = pass_of(row.name, remat="recompute", **scan)(params, row.inputs)
    same(other, out, rtol=1e-5, atol=1e-5)
    same(other_gradients, reshape(gradients), rtol=1e-4, atol=1e-4)


def stacked(params):
    """Parameters of unrolled trunks as scanned ones hold them."""
    out = dict(params)
    for name, part in params.items():
        if isinstance(part, dict) and "block_0" in part:
            blocks = [part[block] for block in sorted(part) if block.startswith("block_")]
            rest = {key: value for key, value in part.items() if not key.startswith("block_")}
            out[name] = {**rest, "blocks": jax.tree.map(lambda *leaves: np.stack(leaves), *blocks)}
    return out


@tokens_out
def test_bfloat16_is_computed_and_close(row):
    params = parameters(row.name)
    _, exact = pass_of(row.name)(params, row.inputs)
    half = jax.jit(functools.partial(output, row, dtype="bfloat16")).trace(params, row.inputs)
    out = half.lower().compile()(params, row.inputs).values
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(out, np.float32), exact.values, rtol=0.1, atol=0.15)
    made = jax.eval_shape(lambda: changed(row.module, dtype="bfloat16").init(KEY, row.inputs, train=False))
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype("float32")}
    products = list(multiplied(half.jaxpr.jaxpr))
    assert products.count(jnp.bfloat16) >= len(jax.tree.leaves(params)) / 4
    assert sum(kind != jnp.bfloat16 for kind in products) <= row.exact


def multiplied(jaxpr):
    """The operand types of every matrix product and convolution, those of inner functions included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield jnp.result_type(*(variable.aval.dtype for variable in equation.invars))
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from multiplied(inner)


@packing
def test_packed_rows_equal_their_examples_alone(row):
    params, changes = parameters(row.name), {"segments": 2} if hasattr(row.module, "segments") else {}
    whole = over_signals(unmasked, row.inputs)
    _, alone = pass_of(row.name)(params, whole)
    beside = over_signals(side_by_side, jax.tree.map(lambda leaf: np.asarray(leaf)[:2], whole))
    packed = jax.jit(lambda inputs: output(row, params, inputs, **changes))(beside)
    expected = np.asarray(floats(alone))[:2]
    if isinstance(row.inputs, dict) and not changes:  # streams come out one after the other, each packed
        bounds = np.cumsum([signal.mask.shape[1] for _, signal in sorted(whole.items())])[:-1]
        parts = np.split(expected, bounds, axis=1)
        expected = np.concatenate([part.reshape(1, -1, expected.shape[-1]) for part in parts], axis=1)
    np.testing.assert_allclose(floats(packed), expected.reshape(floats(packed).shape), rtol=1e-4, atol=1e-5)


@mixing
def test_examples_that_would_mix_are_refused(row):
    packed = over_signals(lambda signal: signal.replace(segments=signal.mask.astype(jnp.int32)), row.inputs)
    with pytest.raises(UserError, match="packed"):
        jax.eval_shape(lambda: row.module.init(KEY, packed, train=False))


def unmasked(signal):
    return signal.replace(mask=jnp.asarray(np.ones(signal.mask.shape, bool)))


def side_by_side(signal):
    """Two whole rows as one: what stood below now stands beside."""
    length = signal.mask.shape[1]
    segments, positions = np.divmod(np.arange(2 * length), length)
    if signal.positions is not None:
        positions = signal.positions.reshape(2 * length, *signal.positions.shape[2:])
    return signal.replace(
        values=signal.values.reshape(1, 2 * length, *signal.values.shape[2:]),
        mask=signal.mask.reshape(1, -1),
        segments=jnp.asarray(segments + 1, jnp.int32)[None],
        positions=jnp.asarray(positions, jnp.int32)[None],
    )


@fusions
def test_streams_have_no_order(row):
    names, streams = zip(*row.inputs.items(), strict=True)
    texts = [
        str(
            jax.make_jaxpr(
                lambda *streams, order=order: output(row, parameters(row.name), {names[i]: streams[i] for i in order})
            )(*streams)
        )
        for order in ((0, 1, 2), (2, 0, 1))
    ]
    assert texts[0] == texts[1]


@fusions
def test_a_stream_left_out_equals_one_masked(row):
    params = parameters(row.name)
    gone = {**row.inputs, "hearing": absent(row.inputs["hearing"])}
    kept = {name: stream for name, stream in row.inputs.items() if name != "hearing"}
    _, masked = pass_of(row.name)(params, gone)
    left = jax.jit(lambda streams: output(row, params, streams))(kept)
    for masked_row, left_row in zip(real_tokens(masked), real_tokens(left), strict=True):
        np.testing.assert_allclose(masked_row, left_row, rtol=1e-5, atol=1e-5)


def real_tokens(tokens):
    """Each row's unmasked tokens."""
    return [values[mask] for values, mask in zip(np.asarray(tokens.values), np.asarray(tokens.mask), strict=True)]
