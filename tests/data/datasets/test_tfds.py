"""TensorFlow Datasets, from files that it wrote without TensorFlow."""

import io
import sys

import numpy as np
import pytest
from PIL import Image as Pillow

from mmjax import datasets, fields
from mmjax.core import UserError
from mmjax.data import pipeline


def picture(i):
    file = io.BytesIO()
    Pillow.fromarray(np.full((8, 8), i * 20, np.uint8)).save(file, "PNG")
    file.seek(0)
    return file


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    import tensorflow_datasets as tfds

    class Tiny(tfds.core.GeneratorBasedBuilder):
        """Six rows."""

        __module__ = "tiny"  # TFDS looks for the package of a dotted one

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            labels = tfds.features.ClassLabel(names=["cat", "dog"])
            features = {
                "image": tfds.features.Image(shape=(8, 8, 1)),
                "label": labels,
                "text": tfds.features.Text(),
                "age": np.float32,
                "wave": tfds.features.Tensor(shape=(None,), dtype=np.float32),
                "tags": tfds.features.Sequence(tfds.features.ClassLabel(names=["a", "b"])),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(6):
                row = {"image": picture(i), "label": i % 2, "text": f"héllo {i}", "age": float(i)}
                yield i, row | {"wave": np.arange(10 + i, dtype=np.float32), "tags": ["a"] if i % 2 else ["a", "b"]}

    folder = tmp_path_factory.mktemp("tfds")
    Tiny(data_dir=folder, file_format="array_record").download_and_prepare()
    return str(folder)


def test_features_say_what_columns_are(data_dir):
    data = datasets.Tfds("tiny", label="label", data_dir=data_dir)
    schema = data.fit()
    assert {name: field.kind for name, field in schema.inputs.items()} == {
        "image": "image",
        "text": "text",
        "table": "table",
    }
    assert schema.targets["label"].names == ("cat", "dog")
    assert set(schema.left_out) == {"tags", "wave"}
    examples = data.open(schema)
    for batch, numbers in pipeline.sweep(examples, batch=4):
        for i, number in enumerate(numbers):
            if number >= 0:
                age = schema.inputs["table"].means[0] + schema.inputs["table"].stds[0] * batch.inputs["table"].values[i]
                shade = batch.inputs["image"].values[i] * schema.inputs["image"].std[0] + schema.inputs["image"].mean[0]
                assert round(float(shade.mean())) == 20 * round(float(age[0]))
                assert batch.targets["label"].values[i] == round(float(age[0])) % 2
    assert "tensorflow" not in sys.modules


def test_declared_features_and_parts_of_a_split(data_dir):
    inputs = {"sound": fields.Audio("wave", rate=100), "image": fields.Image()}
    data = datasets.Tfds("tiny", "train[:50%]", label="tags", inputs=inputs, data_dir=data_dir)
    examples = data.open(data.fit())
    assert len(examples) == 3 and examples.where(0) == "tiny train[:50%] row 1"
    assert set(map(tuple, examples.batch(range(3)).targets["tags"].values.tolist())) <= {(1, 0), (1, 1)}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"name": "tinny"}, "tinny: TFDS cannot give it"),
        ({"name": "tiny", "split": "tran"}, "tiny: TFDS cannot read split 'tran'"),
        ({"name": "tiny", "label": "lable"}, "tiny has no feature 'lable'; did you mean 'label'?"),
    ],
)
def test_what_is_not_there(data_dir, options, line):
    with pytest.raises(UserError) as caught:
        datasets.Tfds(**{"label": "label", "data_dir": data_dir, **options}).fit()
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_why_tfds_cannot_is_said_and_kept(data_dir):
    """The kind of the error, what it says, all in a line; and the error itself, for whoever looks further."""
    with pytest.raises(UserError, match=r"cannot read split 'tran' \(ValueError: .*'tran'.*\)$") as caught:
        datasets.Tfds("tiny", "tran", label="label", data_dir=data_dir).fit()
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(UserError, match=r"TFDS cannot give it \(DatasetNotFoundError: ") as caught:
        datasets.Tfds("tinny", label="label", data_dir=data_dir).fit()
    assert type(caught.value.__cause__).__name__ == "DatasetNotFoundError"
