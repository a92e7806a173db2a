"""A step compiled for TPUs that are not there sends what its mesh needs, and no more."""

import dataclasses
import importlib.util

import jax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mmjax import Mesh
from mmjax.train.shares import Shares
from tools import hlo
from tools.bench import workload

MADE = workload.language(24, 64, 512, width=128, depth=1, heads=1)
WANTED = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu compiles for TPUs; the extra tpu has it"
)


@pytest.fixture(autouse=True)
def _flags_of_the_cpu(monkeypatch):
    """Libtpu ends the process at a flag that it does not know; the CPU has read its own once its devices are there."""
    jax.devices()
    monkeypatch.delenv("XLA_FLAGS", raising=False)


@WANTED
@pytest.mark.parametrize("topology", ["v5e:2x4", "v5p:2x2x2"])
@pytest.mark.parametrize("way", [Mesh(), Mesh(data=1, fsdp=8)], ids=["data", "fsdp"])
def test_gradients_meet_once(way, topology):
    from tools import aot

    found = aot.measure(dataclasses.replace(MADE, mesh=way), topology)
    whole = found["memory"]["parameters"] * (8 if way.fsdp > 1 else 1)
    sent = {kind: part["bytes"] for kind, part in found["collectives"].items()}
    if way.fsdp > 1:  # parameters twice as bfloat16, gradients once as float32
        assert sum(sent.values()) <= 1.02 * 7 / 8 * 2 * whole
        assert sent["all-gather"] > 0 and sent["reduce-scatter"] > 0
    else:
        assert sent.keys() == {"all-reduce"}
        assert 2 * 7 / 8 * whole <= sent["all-reduce"] <= 1.02 * 2 * 7 / 8 * whole
    assert found["flops"]["compiled"] <= 1.2 * found["flops"]["counted"]  # norms and the softmax of so few features
    assert found["memory"]["peak"] >= found["memory"]["parameters"] + found["memory"]["optimizer"]


@WANTED
def test_what_64_chips_share_comes_together_without_a_sum():
    """At once it would be an all-reduce, of twice the bytes."""
    from tools import aot

    settings = Mesh(data=1, fsdp=64)
    mesh = settings.build(aot.devices("v5p:4x4x4"))
    whole = Shares(mesh, settings, "kernel").whole
    shared = jax.ShapeDtypeStruct((1024, 512), "bfloat16", sharding=NamedSharding(mesh, PartitionSpec("fsdp")))
    with aot.unkept():
        text = jax.jit(whole).lower(shared).compile().as_text()
    assert hlo.traffic(text, 64) == {"all-gather": {"bytes": 1024 * 512 * 2 * 63 // 64, "overlapped": 0}}


@WANTED
def test_tokens_change_places_with_heads_as_products_read_them():
    from tools import aot

    made = workload.language(8, 64, 512, width=128, depth=1, heads=4)
    found = aot.measure(dataclasses.replace(made, mesh=Mesh(data=2, context=4, exchange="heads")), "v5e:2x4")
    own = 8 * 64 * 128 // 8 * 2  # a device's own tokens, in bfloat16
    assert found["collectives"]["all-to-all"]["bytes"] == 8 * 3 * own // 4


@WANTED
def test_no_chip_holds_what_all_pairs_say():
    from tools import contrastive

    found = contrastive.measure(32_768, 768, "v5e:2x4", kind="softmax", chunk=256, dtype="float32")
    assert found["ring"]["given_mb"] <= found["ring"]["peak_mb"] <= 120 < found["dense"]["peak_mb"]
