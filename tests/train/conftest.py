"""A run small enough to be made many times: real digits, a network of a few thousand parameters."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = '''
"""A tiny run."""
from mmjax import Multimodal, datasets, encoders, fusion, heads, objectives
from mmjax.train import Evaluator, Experiment, Mesh, Optim, Run


def config():
    """Digits, seen and read."""
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=16, depth=1, heads=2, patch=4),
                "text": encoders.Text(width=16, depth=1, heads=2, vocabulary=128),
            },
            fusion=fusion.Bottleneck(width=16, depth=1, heads=2, bottlenecks=2),
            heads={"label": heads.Classify(classes=10)},
        ),
        data=datasets.Digits(split="train", batch=16),
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={"val": Evaluator(datasets.Digits(split="val", batch=64))},
        optim=Optim(lr=3e-3, warmup=2, average=0.9),
        run=Run(steps=8, log_every=1),
        modality_dropout=0.2,
    )
'''


@pytest.fixture(scope="session")
def tiny():
    """``tiny(run={...}, mesh=..., optim={...})``: the tiny experiment with some fields replaced."""
    scope = {}
    exec(compile(RECIPE, "tiny.py", "exec"), scope)

    def make(**changes):
        experiment = scope["config"]()
        for name, change in changes.items():
            if isinstance(change, dict):
                change = dataclasses.replace(getattr(experiment, name), **change)
            experiment = dataclasses.replace(experiment, **{name: change})
        return experiment

    return make


@pytest.fixture
def start(tmp_path):
    """``start(code, devices=1)``: another Python process that has the tiny recipe as ``config``."""

    def launch(code, *, devices=1):
        script = tmp_path / f"script_{abs(hash(code)) % 10**8}.py"
        script.write_text(RECIPE + code)
        # Compiled as this process compiles (bits depend on it), but on devices of its own.
        cwd = Path(__file__).resolve().parents[2]
        env = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "JAX_NUM_CPU_DEVICES": str(devices),
            "JAX_COMPILATION_CACHE_DIR": str(cwd / ".jax_cache"),
        }
        return subprocess.Popen([sys.executable, str(script)], env=env, cwd=cwd, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    return launch
