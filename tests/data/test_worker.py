"""Batches made in other processes are those of this one, with all that was found bad or cut on the way."""

import dataclasses
import glob
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from mmjax import datasets, fields, transforms
from mmjax.core import UserError
from mmjax.data import pipeline


def take(stream, count):
    return [next(stream) for _ in range(count)]


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture
def manifest(folder):
    lines = ["image,text,y"] + [f"{'ab'[i % 2]}.png,{'one two three ' * (i % 3 + 1)},{i % 2}" for i in range(12)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    inputs = {"image": fields.Image(size=6), "text": fields.Text(length=4)}
    return datasets.Manifest("rows.csv", label="y", inputs=inputs, cache_gb=0, on_bad_row="quarantine")


def test_batches_state_and_complaints_are_those_of_one_process(manifest, folder):
    augment = (transforms.Flip("image"), transforms.DropTokens("text", 0.2))
    schema = manifest.fit()
    (folder / "b.png").write_text("spoilt")
    options = {"batch": 4, "seed": 1, "augment": augment}
    alone, helped = manifest.open(schema), manifest.open(schema)
    one = pipeline.stream(alone, **options, prefetch=0)
    many = pipeline.stream(helped, **options, workers=2)
    before = set(glob.glob("/dev/shm/mmjax-*"))
    try:
        equal(take(one, 3), take(many, 3))
        assert one.get_state() == many.get_state()
        state = one.get_state()
        further = take(one, 3)
        equal(further, take(many, 3))
        many.set_state(state)
        equal(further, take(many, 3))
        key = lambda reject: reject["row"]  # noqa: E731
        assert sorted(helped.rejects, key=key) == sorted(alone.rejects, key=key) and len(alone.rejects) == 6
        assert helped.cut == alone.cut == {"text": 8}
    finally:
        many.close()
    assert set(glob.glob("/dev/shm/mmjax-*")) <= before

    stopping = dataclasses.replace(manifest, on_bad_row="stop")
    stream = pipeline.stream(stopping.open(schema), batch=12, seed=0, workers=1)
    with pytest.raises(UserError, match=r"rows.csv row \d+: b.png is not a picture that Pillow knows; mend it or use"):
        take(stream, 1)
    stream.close()


def test_what_cannot_go_to_other_processes_is_said_in_a_line():
    data = datasets.Digits()
    stream = pipeline.stream(data.open(data.fit()), batch=4, seed=0, workers=1)
    with pytest.raises(UserError, match=r"^run.workers: these data cannot go to other processes \(.*\); set it to 0$"):
        next(stream)
    stream.close()


def test_a_script_without_a_guard_is_told_of_it(tmp_path):
    (tmp_path / "script.py").write_text(
        "import numpy as np\n"
        "from mmjax import datasets\n"
        "from mmjax.core import UserError\n"
        "from mmjax.data import pipeline\n"
        "data = datasets.Arrays.of({'x': np.arange(8.0) % 3, 'y': np.arange(8) % 2}, label='y')\n"
        "try:\n"
        "    next(pipeline.stream(data.open(data.fit()), batch=2, seed=0, workers=1))\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert "__main__" in done.stdout and "set run.workers to 0" in done.stdout
