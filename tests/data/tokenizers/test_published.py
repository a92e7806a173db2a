"""Byte pairs that others published, and bytes."""

import gzip
import json

import numpy as np
import pytest

from mmjax.core import UserError, plain
from mmjax.data.sources.place import shared
from mmjax.data.tokenizers import BytePairs, Bytes, Characters

RANKS, MERGES = "tokenizers/gpt2.tiktoken", "tokenizers/clip_bpe_simple_vocab_16e6.txt.gz"
needs = pytest.mark.skipif(not (shared() / RANKS).is_file(), reason="the shared tokenizers are not there")
EVERY_SCRIPT = [
    "Grüße an Zoë's naïve café: 3.5 km, 1,000 €!",
    "हिन्दी में लिखो 東京は大きい مرحبا بالعالم",
    "👩‍👩‍👧 family \t\n\r\n  spaces ",
    "\x00\x01 <pad> <unk> Ġ Ċ \ufeff \u200b e\u0301",
    "<|endoftext|>",
    "".join(map(chr, [*range(0, 0xD800, 97), *range(0xE000, 0x11000, 97), 0x10FFFF])),
]


@pytest.fixture(scope="module")
def gpt2():
    return BytePairs(path=RANKS).fit([])


@needs
def test_ids_are_gpt2s(gpt2):
    # By OpenAI's own encoder (tiktoken).
    text = "Hello world, it's GPT-2's 123 test!\n\n  ok"
    ids = [15496, 995, 11, 340, 338, 402, 11571, 12, 17, 338, 17031, 1332, 0, 628, 220, 12876]
    assert gpt2.encode(text).tolist() == ids
    assert (gpt2.size, gpt2.end) == (50_257, 50_256) and gpt2.decode([*ids, gpt2.end]) == text


@needs
@pytest.mark.parametrize("text", EVERY_SCRIPT, ids=range(len(EVERY_SCRIPT)))
def test_any_text_comes_back_from_gpt2s_ids(gpt2, text):
    ids = gpt2.encode(text)
    assert gpt2.decode(ids) == text and gpt2.end not in ids
    assert gpt2.sizes()[ids].sum() == len(text.encode("utf-8"))


@pytest.mark.parametrize("text", EVERY_SCRIPT, ids=range(len(EVERY_SCRIPT)))
def test_any_text_comes_back_from_its_bytes(text):
    ids = Bytes().encode(text)
    assert Bytes().decode(ids) == text and "".join(Bytes().pieces("abc")) == "abc"
    assert Bytes().sizes()[ids].sum() == len(text.encode("utf-8")) and Bytes().end not in ids


@needs
def test_ids_are_clips():
    clip = BytePairs(path=MERGES).fit([])
    # By transformers' CLIPTokenizer, without the start and end of the text.
    assert clip.encode("A photo of a cat").tolist() == [320, 1125, 539, 320, 2368]
    assert (clip.size, clip.end) == (49_408, 49_407)
    assert clip.decode(clip.encode("A  photo, of Zoë's cat")) == "a photo , of zoë 's cat "


def test_gpt1s_words_are_closed(tmp_path):
    vocabulary = ["<unk>", "l", "o", "w", "w</w>", "lo", "low</w>", "e", "r</w>", "er</w>", ".</w>"]
    (tmp_path / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(vocabulary)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nl o\nlo w</w>\ne r</w>\n")
    words = BytePairs(path=str(tmp_path / "merges.txt")).fit([])
    assert words.encode("Low er.").tolist() == [6, 9, 10] and words.decode([6, 9, 10]) == "low er ."


def test_a_hugging_face_record_is_read(tmp_path):
    own = BytePairs(limit=300).fit(["low lower lowest"] * 4)
    record = json.loads(own.json)
    record["added_tokens"] = [{"id": 298, "content": "<|endoftext|>", "special": True}]
    (tmp_path / "tokenizer.json").write_text(json.dumps(record))
    read = BytePairs(path=str(tmp_path / "tokenizer.json")).fit([])
    text = "lowest <|endoftext|>"
    assert read.end == 298 and read.decode(read.encode(text)) == text
    np.testing.assert_array_equal(read.encode(text) + 2, own.encode(text))
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(read)))) == read


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.tiktoken").write_text("not ranks at all")
    (tmp_path / "bpe.txt.gz").write_bytes(gzip.compress(b"#version\na b c\n"))
    for name in ("a.tiktoken", "bpe.txt.gz"):
        with pytest.raises(UserError, match="is no file of byte pairs that is known"):
            BytePairs(path=str(tmp_path / name)).fit([])


def test_characters_know_their_bytes():
    characters = Characters().fit(["aé€"])
    assert characters.sizes()[characters.encode("aé€")].tolist() == [1, 2, 3] and characters.end == 1
