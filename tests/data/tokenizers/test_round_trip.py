"""Any text to ids and back, exactly: random code points of every plane, and those that tokenizers stumble over."""

import gzip
import json

import numpy as np
import pytest

from mmjax.data.sources.place import shared
from mmjax.data.tokenizers import BytePairs, Bytes, Characters
from mmjax.data.tokenizers.published import alphabet

RANKS, MERGES = "tokenizers/gpt2.tiktoken", "tokenizers/clip_bpe_simple_vocab_16e6.txt.gz"
needs = pytest.mark.skipif(not (shared() / RANKS).is_file(), reason="the shared tokenizers are not there")
# Controls, blanks, accents that join, marks of direction, joiners, private and unassigned ones, ends of planes.
ODD = "\x00\x1c\x85\xa0\xad\u0301\u0345\u1680\u180e\u2003\u200b\u200d\u2028\u202e\u2126\u212b\u3000\ufb01"
ODD += "\ufeff\ufffd\uffff\ue000\U000e0001\U0001f3fd\U0010ffff İßſΣς'sĠĊ<|endoftext|></w><unk>"


def texts(count=150):
    """Of 1 to 20 characters each: of any plane, of few letters so that some repeat, and odd ones."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        size = int(rng.integers(1, 21))
        planes = [chr(c) for c in rng.integers(0, 0x110000, size) if not 0xD800 <= c < 0xE000]
        near = [chr(c) for c in rng.integers(0, 0x250, size)]
        odd = [ODD[i] for i in rng.integers(0, len(ODD), size)]
        letters = np.array([*planes, *near, *odd, *"  aab\n\t"])
        found.append("".join(rng.permutation(letters)[:size].tolist()))
    return ["", *found, ODD]


TEXTS = texts()


def record(folder):
    """A ``tokenizer.json`` of byte pairs, with a special token that texts may spell."""
    own = json.loads(BytePairs(limit=300).fit(["low lower lowest"] * 4).json)
    own["added_tokens"] = [{"id": 298, "content": "<|endoftext|>", "special": True}]
    (folder / "tokenizer.json").write_text(json.dumps(own))
    return str(folder / "tokenizer.json")


MAKE = {
    "bytes": lambda _: Bytes(),
    "characters": lambda _: Characters(limit=100_000),
    "learned": lambda _: BytePairs(limit=500),
    "record": lambda folder: BytePairs(path=record(folder)),
    "gpt2": lambda _: BytePairs(path=RANKS),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs) if name == "gpt2" else name for name in MAKE])
def test_any_text_comes_back(name, tmp_path):
    tokenizer = MAKE[name](tmp_path).fit(TEXTS)
    sizes = tokenizer.sizes()
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.end not in ids
        if name != "characters":
            assert sizes[ids].sum() == len(text.encode("utf-8"))


def clip(folder):
    """CLIP's kind of file, with one merge."""
    lines = "#version\n" + "a b\n"
    (folder / "bpe.txt.gz").write_bytes(gzip.compress(lines.encode()))
    return BytePairs(path=str(folder / "bpe.txt.gz")).fit([])


def gpt1(folder):
    """GPT-1's kind of file, over letters in the middle and at the end of a word."""
    letters = [letter for letter in alphabet().values() if letter.isascii()]
    names = ["<unk>", *letters, *(letter + "</w>" for letter in letters), "ab"]
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")
    return BytePairs(path=str(folder / "merges.txt")).fit([])


@pytest.mark.parametrize("make", [clip, gpt1])
def test_clips_and_gpt1s_words_lose_case_and_blanks_and_nothing_else(make, tmp_path):
    """As published: what comes back is in lower case, words and punctuation a blank apart; after that it is exact."""
    tokenizer = make(tmp_path)
    text = "The cab's  ABBA\n\tis (almost) 42!"
    once = tokenizer.decode(tokenizer.encode(text))
    assert once.replace(" ", "") == "".join(text.lower().split())
    again = tokenizer.decode(tokenizer.encode(once))
    assert again == once


@needs
def test_clips_bytes_hold_any_character():
    tokenizer = BytePairs(path=MERGES).fit([])
    for text in TEXTS:
        once = tokenizer.decode(tokenizer.encode(text))
        assert tokenizer.decode(tokenizer.encode(once)) == once


def test_characters_that_look_alike_are_one_if_asked():
    apart, one = (Characters(composed=composed).fit(["e\u0301 \u00e9"]) for composed in (False, True))
    assert apart.decode(apart.encode("e\u0301")) == "e\u0301" and one.decode(one.encode("e\u0301")) == "\u00e9"
    assert apart.decode(apart.encode("\u2603")) == "\ufffd"
