"""The stack of layers: names that others rely on, memory that remat saves, dropout under scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import flops, nn
from mmjax.core import Tokens, UserError, trees

TOKENS = Tokens(jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 8)), jnp.float32), jnp.ones((2, 3), bool))


def shapes(**fields):
    module = nn.Trunk(depth=2, heads=2, **fields)
    return trees.flatten(jax.eval_shape(lambda: module.init(jax.random.key(0), TOKENS, train=False))["params"])


def test_parameter_paths_are_an_api():
    plain, scanned = shapes(), shapes(scan=True)
    assert plain["block_1/attention/query/kernel"].shape == (8, 2, 4)
    assert plain["block_0/attention/out/kernel"].shape == (2, 4, 8)
    assert plain["block_0/mlp/up/kernel"].shape == (8, 32)
    assert scanned["blocks/attention/query/kernel"].shape == (2, 8, 2, 4)
    assert scanned["blocks/mlp/down/kernel"].shape == (2, 32, 8)
    names = ["/".join(path.split("/")[1:]) for path in plain if path.startswith("block_0")]
    assert names == ["/".join(path.split("/")[1:]) for path in scanned if path.startswith("blocks")]
    assert {"norm/scale", "norm/bias"} == set(plain) & set(scanned)


def test_no_layers_change_nothing_but_what_is_masked():
    module = nn.Trunk(depth=0, heads=2)
    out, variables = jax.jit(lambda: module.init_with_output(jax.random.key(0), TOKENS, train=False))()
    assert not variables
    np.testing.assert_array_equal(out.values, jnp.where(TOKENS.mask[..., None], TOKENS.values, 0))


def held(remat, **fields):
    """What two layers keep for the backward pass, by shape and memory, and the FLOPs of their gradient."""
    module = nn.Trunk(depth=2, heads=2, remat=remat, **fields)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), TOKENS, train=False))

    def back(variables):
        return jax.vjp(lambda variables: module.apply(variables, TOKENS, train=True).values, variables)[1]

    def loss(variables):
        return jnp.sum(jnp.square(module.apply(variables, TOKENS, train=True).values))

    kept = jax.tree.leaves(jax.eval_shape(back, variables))
    return kept, flops.count(jax.grad(loss), variables), flops.count(loss, variables)


def test_policies_trade_memory_for_work():
    found = {policy: held(policy) for policy in nn.remat.NAMES}
    size = {policy: sum(leaf.size for leaf in kept) for policy, (kept, *_) in found.items()}
    assert size["offload"] == size["recompute"] < size["products"] < size["keep"]
    assert size["recompute"] < 0.6 * size["keep"]
    work = {policy: gradient for policy, (_, gradient, _) in found.items()}
    forward = found["keep"][2]
    assert work["keep"] < work["products"] < 1.02 * work["keep"]
    assert work["products"] < work["recompute"] == work["offload"] <= work["keep"] + forward


def test_offloaded_layers_lie_on_the_host():
    def text(**fields):
        module = nn.Trunk(depth=2, heads=2, remat="offload", **fields)
        variables = jax.eval_shape(lambda: module.init(jax.random.key(0), TOKENS, train=False))
        return str(jax.make_jaxpr(jax.grad(lambda v: jnp.sum(module.apply(v, TOKENS, train=True).values)))(variables))

    assert text().count("f32<host>[2,3,8] = device_put") == 2
    assert "f32<host>[2,2,3,8] = scan" in text(scan=True)


def test_every_policy_has_the_same_gradient():
    variables = jax.jit(lambda: nn.Trunk(depth=2, heads=2).init(jax.random.key(0), TOKENS, train=False))()

    def gradient(policy):
        module = nn.Trunk(depth=2, heads=2, remat=policy)
        return jax.grad(lambda variables: jnp.sum(jnp.cos(module.apply(variables, TOKENS, train=True).values)))

    found = [jax.jit(gradient(policy))(variables) for policy in nn.remat.NAMES]
    for other in found[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), other, found[0])


def test_a_policy_that_is_not_there():
    with pytest.raises(UserError, match="remat is 'all'; it can be keep, products, recompute or offload"):
        shapes(remat="all")


def test_scanned_layers_drop_independently():
    module = nn.Trunk(depth=2, heads=2, dropout=0.5, scan=True, remat="recompute")
    variables = jax.jit(lambda: module.init(jax.random.key(0), TOKENS, train=False))()
    run = jax.jit(lambda key: module.apply(variables, TOKENS, train=True, rngs={"dropout": key}).values)
    assert np.array_equal(run(jax.random.key(1)), run(jax.random.key(1)))
    assert not np.array_equal(run(jax.random.key(1)), run(jax.random.key(2)))
    first, second = variables["params"]["blocks"]["mlp"]["up"]["kernel"]
    assert not np.array_equal(first, second)


def test_the_norm_comes_before_blocks_that_norm_last():
    module = nn.Trunk(depth=1, heads=2, norm_first=False, epsilon=0.1)
    out, variables = jax.jit(lambda: module.init_with_output(jax.random.key(0), TOKENS, train=False))()
    normed = TOKENS.values - TOKENS.values.mean(-1, keepdims=True)
    normed /= jnp.sqrt(TOKENS.values.var(-1, keepdims=True) + 0.1)
    block = nn.Block(heads=2, norm_first=False, epsilon=0.1)
    alone = jax.jit(lambda: block.apply({"params": variables["params"]["block_0"]}, normed, None, train=False))()
    np.testing.assert_allclose(out.values, alone, atol=1e-5)


def test_positions_come_from_the_tokens():
    for fields in ({"rotary": True}, {"relative": 8, "scan": True, "remat": "recompute"}):
        module = nn.Trunk(depth=2, heads=2, **fields)
        variables = jax.jit(lambda module=module: module.init(jax.random.key(0), TOKENS, train=False))()
        run = jax.jit(lambda tokens, m=module, v=variables: m.apply(v, tokens, train=False).values)
        placed = TOKENS.replace(positions=jnp.asarray([[0, 1, 2], [0, 2, 7]]))
        np.testing.assert_allclose(run(placed)[0], run(TOKENS)[0], atol=1e-5)
        assert np.abs(run(placed)[1] - run(TOKENS)[1]).max() > 1e-4
