"""The least that a step of a real size has to send."""

import jax
import pytest

from mmjax import Mesh
from mmjax.core import trees
from mmjax.train import prepare
from tools.bench import full
from tools.bench.size import TINY


@pytest.mark.parametrize("name", list(TINY))
def test_the_least_that_is_sent(name):
    """Whole arrays are summed, 2 + 2 bytes a number; split ones gathered and scattered, those of layers once more.

    What words' kernels sum is float32.
    """
    whole, split = (
        prepare.prepare(full.case(TINY[name], mesh, 8), devices=jax.devices())
        for mesh in (Mesh(), Mesh(data=1, fsdp=8, fsdp_size=64))
    )
    sizes = {path: leaf.size for path, leaf in trees.flatten(whole.shapes.params).items()}
    assert full.least(whole) == pytest.approx(7 / 8 * 4 * sum(sizes.values()))
    whole_still = {path for path, place in trees.flatten(split.shardings.params).items() if place.is_fully_replicated}
    layers = sum(size for path, size in sizes.items() if "blocks/" in path and path not in whole_still)
    assert layers > 0
    words = sum(size for path, size in sizes.items() if path == "head/kernel" and path not in whole_still)
    assert full.least(split) == pytest.approx(7 / 8 * (4 * sum(sizes.values()) + 2 * layers + 2 * words))
