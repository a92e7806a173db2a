"""A released file, through a model and back: the same file, byte for byte, whoever wrote it."""

import json

import numpy as np
import pytest

from mmjax.core import UserError
from mmjax.data import safetensor
from mmjax.zoo import clip, gpt1, gpt2, whisper
from tools.golden import weight

TINY = {"vocabulary": 40, "length": 32, "width": 16, "depth": 2, "heads": 2}
CLIP = {"patch": 4, "grid": 3, "width": 16, "depth": 2, "heads": 2, "space": 8, "vocabulary": 30, "length": 11}
CLIP |= {"text_width": 16, "text_depth": 2, "text_heads": 2}
WHISPER = {"vocabulary": 40, "mels": 10, "length": 24, "width": 16, "depth": 2, "heads": 2, "mlp": 2.0}


def written(path, tensors):
    """As another program might: in an order of its own, integers first, with spaces and metadata."""
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name[::-1]))
    kinds = {np.dtype(np.float32): "F32", np.dtype(np.float16): "F16", np.dtype(np.int64): "I64"}
    header, at = {"__metadata__": {"format": "pt", "written by": "another"}}, 0
    for name in names:
        array = tensors[name]
        offsets = [at, at + array.nbytes]
        header[name] = {"shape": list(array.shape), "data_offsets": offsets, "dtype": kinds[array.dtype]}
        at = offsets[1]
    text = json.dumps(header).encode() + b"   "
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(tensors[name].tobytes() for name in names))


def two(family, model, tensors):
    """GPT-1 or GPT-2 as read: the params, and a way back to all that was in the file."""
    params, told = family.adopt(tensors, model)
    own = (params, model) if family is gpt1 else (params,)
    return told, family.release(*own, like=tensors)


def kept(family, model, tensors):
    params, told = family.adopt(tensors, model)
    own = (params, model) if family is clip else (params,)
    return told, family.release(*own, kept={name: tensors[name] for name in told.extra})


def gpt(name):
    """With a prefix, the output as the words' table once more, and the masks of released files."""
    _, tensors = weight.read(name)
    words = "transformer.wte.weight" if name == "gpt2" else "transformer.tokens_embed.weight"
    assert words in tensors
    return {**tensors, "lm_head.weight": tensors[words], "transformer.h.0.attn.bias": np.tri(32, dtype=np.float32)}


def spoken():
    arrays, tensors = weight.read("whisper_whole")
    half = {name: value.astype(np.float16) for name, value in tensors.items()}
    return {**half, whisper.SINUSOIDS: arrays["positions"].astype(np.float16)}


FILES = {
    "gpt1": (two, gpt1, gpt1.model(**TINY), lambda: gpt("gpt1")),
    "gpt2": (two, gpt2, gpt2.small(**TINY), lambda: gpt("gpt2")),
    "whisper": (kept, whisper, whisper.tiny(**WHISPER), spoken),
    "clip": (
        kept,
        clip,
        clip.model(**CLIP),
        lambda: {**weight.read("clip")[1], "text_model.embeddings.position_ids": np.arange(11)[None]},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_back_byte_for_byte(name, tmp_path):
    back, family, model, tensors = FILES[name]
    path, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    written(path, tensors())
    told, released = back(family, model, safetensor.read(path))
    assert not (told.missing or told.unknown or told.misfits) and told.reshaped
    assert len(told.extra) == 1
    safetensor.write(again, released, like=path)
    assert again.read_bytes() == path.read_bytes()


def test_another_files_header_fits_its_own_arrays_alone(tmp_path):
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    safetensor.write(path, {"a": np.zeros(3, np.float32)})
    for tensors, message in (
        ({"a": np.zeros(4, np.float32)}, r"a is .*\[4\].* and in .*\[3\]"),
        ({"a": np.zeros(3, np.float16)}, "a is .*F16.* and in .*F32"),
        ({}, "a is not there and in .*F32"),
        ({"a": np.zeros(3, np.float32), "b": np.zeros(1, np.int8)}, "b is .*I8.* and in .* not there"),
    ):
        with pytest.raises(UserError, match=message):
            safetensor.write(other, tensors, like=path)
    assert not other.exists()
