"""Programs of a run are compiled quickly on processors, to the same numbers; on TPUs gradients are scattered."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.train import Mesh, compiled

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
    assert told(monkeypatch, flags) == [{"xla_backend_optimization_level": 1}]


def test_whoever_set_the_level_has_decided(monkeypatch):
    assert told(monkeypatch, "--xla_backend_optimization_level=2") == [None]


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
