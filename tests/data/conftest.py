"""A folder of small files to read."""

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: two pictures, a recording, a log, so that names in messages are short."""
    import soundfile
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMJAX_DATA", str(tmp_path / "shared"))
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (12, 10), dtype=np.uint8)).save(tmp_path / name)
    soundfile.write(tmp_path / "a.wav", rng.uniform(-0.5, 0.5, 800).astype(np.float32), 8000)
    (tmp_path / "log.csv").write_text("x,y\n1,2\n3,4\n5,6\n")
    return tmp_path
