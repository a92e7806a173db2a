"""Programs of a run are compiled quickly on processors; on TPUs gradients are scattered."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.train import Mesh, compiled

QUICK = {"xla_backend_optimization_level": 1, "xla_cpu_opt_preset": "CPU_OPT_PRESET_FAST_COMPILE"}
PRODUCTS = "xla_cpu_experimental_ynn_fusion_type"
SCATTER = "xla_tpu_enable_sparse_core_collective_offload_nd_reduce_scatter"


def told(monkeypatch, flags, mesh=None):
    """What jax is told of a program."""
    heard = []

    def jit(function, *, compiler_options=None, **how):
        heard.append(compiler_options)
        return function

    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr(jax, "jit", jit)
    compiled.jit(jnp.sin, mesh or Mesh().build(jax.devices()[:1]))
    return heard


@pytest.mark.parametrize("flags", ["", "--xla_cpu_max_isa=AVX2"])
def test_the_compiler_tries_less(monkeypatch, flags):
    several = Mesh(data=2).build(jax.devices()[:2])
    assert told(monkeypatch, flags, several) == [QUICK]
    assert told(monkeypatch, flags)[0].keys() == {PRODUCTS, *QUICK}


def test_whoever_set_an_option_has_decided(monkeypatch):
    flag = "xla_backend_optimization_level"
    assert told(monkeypatch, f"--{flag}=2")[0].keys() == {PRODUCTS, *QUICK} - {flag}
    assert told(monkeypatch, f"--{PRODUCTS}=reduce") == [QUICK]


def pod(kind="TPU v5", **shape):
    return SimpleNamespace(shape=shape, devices=np.array([SimpleNamespace(platform="tpu", device_kind=kind)]))


def test_chips_that_share_arrays_scatter_gradients(monkeypatch):
    assert told(monkeypatch, "", pod(data=1, fsdp=8)) == [{SCATTER: True}]
    assert told(monkeypatch, "", pod("TPU v6 lite", data=2, fsdp=4)) == [{SCATTER: True}]
    assert told(monkeypatch, "", pod(data=8, fsdp=1)) == [None]
    assert told(monkeypatch, "", pod("TPU v5 lite", data=1, fsdp=8)) == [None]
    monkeypatch.setenv("LIBTPU_INIT_ARGS", f"--{SCATTER}=false")
    assert told(monkeypatch, "", pod(data=1, fsdp=8)) == [None]


def test_every_version_of_the_compiler_knows_the_option(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    mesh = Mesh().build(jax.devices()[:1])
    draw = compiled.jit(lambda key: jax.random.normal(key, (9,)), mesh)
    np.testing.assert_allclose(draw(jax.random.key(0)), jax.random.normal(jax.random.key(0), (9,)), rtol=1e-6)


def test_one_processor_multiplies_by_eigen(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    values = jax.ShapeDtypeStruct((256, 256), jnp.float32)
    for devices, own in ((1, 1), (2, 0)):
        mesh = Mesh(data=devices).build(jax.devices()[:devices])
        program = compiled.jit(lambda values: jnp.sin(values) @ values, mesh).lower(values).compile()
        assert program.as_text().partition("ENTRY")[2].count(" dot(") == own
