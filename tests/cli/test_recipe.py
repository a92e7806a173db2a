"""Recipe files: what they give, and one line with the line number for what their author got wrong."""

import pytest

from mmjax.cli import recipe
from mmjax.core import UserError

GOOD = '''
"""Whole."""
from mmjax import Multimodal, datasets, encoders
from mmjax.train import Experiment

WIDTH = 8


def config():
    """Two lines

    of explanation."""
    model = Multimodal(encoders={"image": encoders.Image(width=WIDTH)}, fusion=None, heads={})
    return Experiment(model=model, data=datasets.Manifest("x.csv"), objectives={})
'''


def write(tmp_path, text):
    path = tmp_path / "thing.py"
    path.write_text(text)
    return str(path)


def test_a_recipe_is_loaded(tmp_path):
    loaded = recipe.load(write(tmp_path, GOOD))
    assert loaded.name == "thing"
    assert loaded.about.startswith("Two lines")
    assert loaded.experiment.model.encoders["image"].width == 8
    assert not list(tmp_path.glob("__pycache__"))


@pytest.mark.parametrize(
    "text, told",
    [
        ("def config(:\n  pass", "thing.py line 1: invalid syntax"),
        ("x = 1", "has no function `config"),
        ("config = 3", "has no function `config"),
        ("def config():\n    return {}", "gave dict, not an Experiment"),
        ("import nonesuch\n", "thing.py line 1: ModuleNotFoundError: No module named 'nonesuch'"),
        ("from mmjax import nonesuch\n", "thing.py line 1: ImportError"),
        ("import mmjax\n\nmmjax.nonesuch\n", "thing.py line 3: AttributeError"),
        ("\n\ndef config():\n    return widht", "thing.py line 4: NameError: name 'widht'"),
        (GOOD.replace("fusion=None", "fusoin=None"), "thing.py line 13: TypeError"),
        (GOOD.replace("data=", "dta="), "thing.py line 14: TypeError"),
        (
            "from mmjax.core import UserError\ndef config():\n    raise UserError('nothing there')",
            "thing.py line 3: nothing there",
        ),
        ("def config():\n    return 1 / 0", "thing.py line 2: ZeroDivisionError"),
        ("\0", "null bytes"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, text, told):
    with pytest.raises(UserError) as caught:
        recipe.load(write(tmp_path, text))
    assert told in str(caught.value)
    assert "thing.py" in str(caught.value)


def test_not_even_python(tmp_path):
    path = tmp_path / "thing.py"
    path.write_bytes(b"x = '\xff\xfe'")
    with pytest.raises(UserError, match=r"thing\.py"):
        recipe.load(str(path))
    for wrong in (tmp_path, tmp_path / "none.py"):
        with pytest.raises(UserError, match="no such recipe"):
            recipe.load(str(wrong))


def test_a_fault_deeper_down_keeps_its_traceback(tmp_path):
    text = "import json\ndef config():\n    return json.loads('{')"
    with pytest.raises(ValueError, match="Expecting"):
        recipe.load(write(tmp_path, text))
