"""A save takes what is there, and nothing else is computed for it."""

import resource
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.core import UserError
from mmjax.train import Mesh, checkpoint, sharding


def test_a_save_of_what_all_devices_have_compiles_nothing(tmp_path):
    """Of each array, each of eight devices would else cut off a part of its own to write."""
    compiled = []
    whole = sharding.replicated(Mesh(data=8).build())
    state = {f"layer_{n}": jax.device_put(jnp.full((64, n + 1), n), whole) for n in range(4)}
    jax.block_until_ready(state)
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **facts: compiled.append(facts) if event.endswith("backend_compile_duration") else None
    )
    with checkpoint.opened(tmp_path / "saved") as saved:
        saved.save(3, state, {"row": 5})
        saved.wait()
        assert not compiled
        shapes = checkpoint.abstract(state, jax.tree.map(lambda leaf: leaf.sharding, state))
        found, data = saved.restore(shapes)
    assert data == {"row": 5} and saved.latest() == 3
    jax.tree.map(np.testing.assert_array_equal, found, state)


def test_what_is_donated_after_a_save_is_saved_as_it_was(tmp_path):
    split = Mesh(data=1, fsdp=8).build()
    shared = jax.sharding.NamedSharding(split, jax.sharding.PartitionSpec("fsdp"))
    state = {
        "own": jnp.arange(1_000.0),
        "shared": jax.device_put(jnp.arange(64, dtype=jnp.bfloat16), shared),
        "key": jax.random.key(7),
        "rounds": jnp.zeros((), jnp.int32),
    }
    expected = jax.tree.map(lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf + 0, state)
    later = jax.jit(lambda own: own * 0 - 1, donate_argnums=0)
    with checkpoint.opened(tmp_path / "saved") as saved:
        saved.save(1, state, {})
        for name in ("own", "shared", "rounds"):
            jax.block_until_ready(later(state[name]))
        assert state["own"].is_deleted()
        shapes = checkpoint.abstract(expected, jax.tree.map(lambda leaf: leaf.sharding, expected))
        saved.wait()
        found, _ = saved.restore(shapes)
    np.testing.assert_array_equal(jax.random.key_data(found.pop("key")), jax.random.key_data(expected.pop("key")))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_save_that_cannot_begin_is_told_and_leaves_nothing_waiting(tmp_path):
    """Orbax's threads wait for ten minutes for a folder that it could not make, and a process for its threads."""
    before = {*threading.enumerate()}
    saved = checkpoint.Checkpoints(tmp_path / "saved")
    (tmp_path / "saved").rmdir()
    (tmp_path / "saved").write_text("in the way")
    with pytest.raises(UserError, match=r"saved: no checkpoint can be written: .*Not a directory"):
        saved.save(1, {"own": jnp.ones(3)}, {})
    saved.close()
    new = [t for t in {*threading.enumerate()} - before if "signal" in type(t).__name__.lower()]
    for thread in new:  # orbax looks for what a run before left, and ends by itself; its own join would raise, too
        threading.Thread.join(thread, timeout=5)
    assert not [thread.name for thread in new if thread.is_alive()]


def test_a_save_that_fails_beside_the_run_is_told_once_and_loses_nothing(tmp_path):
    small, large = {"own": jnp.zeros(())}, {"own": jax.random.normal(jax.random.key(0), (2**16,))}
    saved = checkpoint.Checkpoints(tmp_path / "saved")
    saved.save(1, small, {})
    saved.wait()
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, allowed[1]))  # as if the disk were full
    try:
        saved.save(2, large, {})
        with pytest.raises(UserError, match=r"Failed writing.* goes on from step 1$"):
            saved.wait()
        saved.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    with checkpoint.opened(tmp_path / "saved") as saved:
        found, _ = saved.restore(checkpoint.abstract(small, {"own": small["own"].sharding}))
    np.testing.assert_array_equal(found["own"], 0.0)


def test_a_step_that_is_saved_is_not_saved_again(tmp_path):
    with checkpoint.opened(tmp_path / "saved") as saved:
        for own in (1.0, 2.0):
            state = {"own": jnp.full(3, own)}
            saved.save(1, state, {"own": own})
        found, data = saved.restore(checkpoint.abstract(state, {"own": state["own"].sharding}))
    assert data == {"own": 1.0}
    np.testing.assert_array_equal(found["own"], 1.0)
