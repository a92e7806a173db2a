"""TensorFlow Datasets by random access, without TensorFlow where that library allows it."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.core import UserError
from mmjax.data import schema as schemas
from mmjax.data.examples import Examples
from mmjax.data.fields import Audio, Class, Classes, Image, Number, Table, Text
from mmjax.data.fields.field import Field
from mmjax.data.sources import Lazy, Source, nearest

_SAID = 300  # letters of what TFDS says of an error; all of it is in the cause


@dataclasses.dataclass(frozen=True)
class Tfds:
    """A data set of https://www.tensorflow.org/datasets by ``name`` ("mnist") and ``split`` ("train[:90%]").

    It must lie in array_record files under ``data_dir``, or is fetched and written so with ``download``. Kinds come
    from its features: pictures, texts, audio, class labels and single numbers; declare the rest. The other
    fields are those of ``Manifest``.
    """

    name: str
    split: str = "train"
    label: str | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    targets: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    batch: int = 32
    augment: tuple[Any, ...] = ()
    seed: int = 0
    data_dir: str | None = None
    download: bool = False
    on_bad_row: str = "stop"
    cache_gb: float = 4.0

    def source(self) -> Source:
        return _source(self._builder(), self.name, self.split)

    def fit(self) -> schemas.Schema:
        """The schema that these rows, as training rows, teach."""
        builder = self._builder()
        inputs, targets, left_out = self.inputs, dict(self.targets), {}
        features = builder.info.features
        if self.label is not None and self.label not in targets:
            if self.label not in features:
                raise UserError(f"{self.name} has no feature {self.label!r}{nearest(self.label, features)}")
            targets[self.label] = _target(self.label, features[self.label])
        if not inputs:
            inputs, left_out = _inputs({name: features[name] for name in sorted(features) if name not in targets})
        source = _source(builder, self.name, self.split)
        schema = schemas.fit(source, inputs=inputs, targets=targets, on_bad_row=self.on_bad_row)
        return dataclasses.replace(schema, left_out=left_out)

    def open(self, schema: schemas.Schema) -> Examples:
        """These rows as ``schema`` reads them."""
        return Examples(self.source(), schema, on_bad_row=self.on_bad_row, cache_gb=self.cache_gb)

    def _builder(self) -> Any:
        import tensorflow_datasets as tfds

        try:
            builder = tfds.builder(self.name, data_dir=self.data_dir)
            if self.download:
                builder.download_and_prepare(file_format="array_record")
        except Exception as error:  # TFDS raises what its hundreds of builders raise
            raise UserError(f"{self.name}: TFDS cannot give it ({_why(error)})") from error
        if not builder.data_path.exists():
            raise UserError(f"{self.name} is not under {builder.data_path.parent}; fetch it with download=True")
        return builder


def _source(builder: Any, name: str, split: str) -> Source:
    import tensorflow_datasets as tfds

    features = builder.info.features
    # Pictures stay encoded: the field decodes them, with its own limits and complaints.
    skip = {key: tfds.decode.SkipDecoding() for key, feature in features.items() if _kind(feature) == "Image"}
    try:
        data = builder.as_data_source(split=split, decoders=skip)
    except (ValueError, NotImplementedError, ImportError, OSError) as error:  # no such split, no reader at random
        raise UserError(f"{name}: TFDS cannot read split {split!r} ({_why(error)})") from error
    if not len(data):
        raise UserError(f"{name} has no rows in split {split!r}")
    names = {key: found for key, feature in features.items() if (found := _names(feature))}
    label = f"{name} {split}"
    return Source(label, tuple(sorted(features)), Lazy(label, len(data), lambda i: _cells(data[i], names)))


def _why(error: Exception) -> str:
    """What went wrong, in a line: TFDS tells much in many, and the kind of an error may be all that it tells."""
    said = " ".join(str(error).split())
    kind = type(error).__name__
    return f"{kind}: {said if len(said) <= _SAID else said[:_SAID] + ' ...'}" if said else kind


def _cells(example: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    """A row with labels by name and texts as text."""
    return {key: _cell(value, names.get(key)) for key, value in example.items()}


def _cell(value: Any, names: list[str] | None) -> Any:
    if names is not None and (isinstance(value, list | tuple) or getattr(value, "ndim", 0)):
        return [names[int(i)] for i in value]
    if names is not None:
        return names[value] if value >= 0 else None  # TFDS writes -1 where a label is not known
    if isinstance(value, bytes):
        with contextlib.suppress(UnicodeDecodeError):  # an encoded picture, or a text that its field will complain of
            return value.decode("utf-8")
    return value


def _inputs(features: Mapping[str, Any]) -> tuple[dict[str, Field], dict[str, str]]:
    found: dict[str, Field] = {}
    left_out: dict[str, str] = {}
    numbers, categories = [], []
    for name, feature in features.items():
        kind = _kind(feature)
        if kind == "Image":
            found[name] = Image(name)
        elif kind == "Text":
            found[name] = Text(name)
        elif kind == "Audio":
            found[name] = Audio(name, rate=feature.sample_rate or 16_000)
        elif kind == "ClassLabel":
            categories.append(name)
        elif kind in ("Tensor", "Scalar") and feature.shape == () and feature.np_dtype is not object:
            numbers.append(name)
        else:
            left_out[name] = f"of kind {kind} {feature.shape}; declare it to use it"
    if numbers or categories:
        found["table"] = Table(numbers=tuple(numbers), categories=tuple(categories))
    return found, left_out


def _target(name: str, feature: Any) -> Field:
    names = tuple(_names(feature) or ())
    if _kind(feature) == "ClassLabel":
        return Class(name, names=names)
    return Classes(name, names=names) if names else Number(name)


def _kind(feature: Any) -> str:
    return type(feature).__name__


def _names(feature: Any) -> list[str] | None:
    """Label names of a ClassLabel, or of a sequence of them."""
    feature = getattr(feature, "feature", feature)
    return list(feature.names) if _kind(feature) == "ClassLabel" else None
