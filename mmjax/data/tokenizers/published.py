"""Byte pairs that others published: their files as one record of the tokenizers library.

========================  =============================================================================
``*.tiktoken``            a token in base64 and its rank a line (GPT-2 and later); bytes come back exactly
``*.json``                a Hugging Face ``tokenizer.json`` with byte pairs
``*bpe*.txt(.gz)``        CLIP's merges, whose words are in lower case and of ids as CLIP has them
``merges.txt``            GPT-1's merges, with ``vocab.json`` beside them, likewise in lower case
========================  =============================================================================

Special tokens that a text could spell are taken out: a text is only ever what it says.
"""

import base64
import binascii
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmjax.core import UserError

# How GPT-2 and CLIP part a text before they merge.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>")
_CLIP_MERGES = 49_152 - 256 - 2
_CLOSE = "</w>"  # of a token that ends a word


class Published(NamedTuple):
    """The tokenizers library's record, and the id that ends a text."""

    json: str
    end: int


def read(path: Path) -> Published:
    """The record of the file. Raises UserError where it is of no kind that is known."""
    try:
        if path.suffix == ".tiktoken":
            return _ranks(path)
        if path.suffix == ".json":
            return _record(path)
        if path.name == "merges.txt":
            return _first(path)
        return _clip(path)
    except (ValueError, KeyError, LookupError, OSError, EOFError, binascii.Error) as error:
        raise UserError(f"{path} is no file of byte pairs that is known: {error}") from None


def alphabet() -> dict[int, str]:
    """The character by which each byte is written, as GPT-2 has it: itself where it can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("\xa1"), ord("\xac") + 1), *range(ord("\xae"), ord("\xff") + 1)]
    others = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def _ranks(path: Path) -> Published:
    """A token's parts are found by merging its bytes, by rank, until two are left."""
    lines = [line.split() for line in path.read_bytes().splitlines() if line]
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    letters = alphabet()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges = []
    for token in sorted(ranks, key=ranks.__getitem__):
        if len(token) > 1:
            left, right = _halves(token, ranks)
            merges.append([spelled(left), spelled(right)])
    vocabulary = {spelled(token): rank for token, rank in ranks.items()}
    return Published(_made(vocabulary, merges, _GPT2), len(vocabulary))


def _halves(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [(ranks.get(parts[i] + parts[i + 1], len(ranks)), i) for i in range(len(parts) - 1)]
        _, i = min(pairs)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts[0], parts[1]


def _record(path: Path) -> Published:
    data = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = data["model"]["vocab"]
    if data["model"].get("type") != "BPE":
        raise ValueError(f"its model is {data['model'].get('type')}, not BPE")
    added = {token["content"]: token["id"] for token in data.get("added_tokens", ())}
    ids = {**vocabulary, **added}
    end = next((ids[name] for name in _ENDS if name in ids), max(ids.values()) + 1)
    return Published(json.dumps({**data, "added_tokens": [], "post_processor": None}, ensure_ascii=False), end)


def _clip(path: Path) -> Published:
    """Merges of the first so many lines; ids are bytes, bytes that end a word, merges, start and end of a text."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = data.decode("utf-8").split("\n")[1 : 1 + _CLIP_MERGES]
    merges = [line.split() for line in lines if line]
    if any(len(pair) != 2 for pair in merges):
        raise ValueError("a line is no pair")
    letters = list(alphabet().values())
    names = [*letters, *(letter + _CLOSE for letter in letters), *map("".join, merges)]
    vocabulary = {name: i for i, name in enumerate(names)}
    return Published(_made(vocabulary, merges, _CLIP, words=True), len(names) + 1)


def _first(path: Path) -> Published:
    """GPT-1: words and punctuation apart, every word closed."""
    vocabulary = json.loads((path.parent / "vocab.json").read_text(encoding="utf-8"))
    lines = path.read_text(encoding="utf-8").splitlines()
    merges = [line.split() for line in lines if line and not line.startswith("#version")]
    record = {
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "BPEDecoder", "suffix": _CLOSE},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges, "unk_token": "<unk>",
                  "end_of_word_suffix": _CLOSE},
    }  # fmt: skip
    return Published(_plain(record), len(vocabulary))


def _made(vocabulary: dict[str, int], merges: Sequence[Sequence[str]], pattern: str, *, words: bool = False) -> str:
    """Bytes merged within the pieces that ``pattern`` finds. words: in lower case, each closed, spaces apart."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed" if words else "Isolated"}
    lower = [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]
    close = {"type": "Replace", "pattern": {"String": _CLOSE}, "content": " "}
    model: dict[str, Any] = {"type": "BPE", "vocab": vocabulary, "merges": merges}
    record: dict[str, Any] = {
        "normalizer": {"type": "Sequence", "normalizers": lower} if words else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{**split, "invert": words}, level]},
        "decoder": {"type": "Sequence", "decoders": [level, close]} if words else level,
        "model": {**model, "end_of_word_suffix": _CLOSE} if words else model,
    }
    return _plain(record)


def _plain(record: dict[str, Any]) -> str:
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "post_processor": None}
    return json.dumps({**whole, **record}, ensure_ascii=False)
