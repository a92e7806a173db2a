"""A save takes what is there, and nothing else is computed for it."""

import jax
import jax.numpy as jnp
import numpy as np

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
