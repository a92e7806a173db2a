"""Texts side by side, read in one way or in several, and the word that follows each word of them."""

import json

import numpy as np
import pytest

from mmjax import fields, tokenizers
from mmjax.core import UserError, plain
from mmjax.data.sources import Row, Rows

CELLS = [{"a": "abc", "b": "de"}, {"a": "a", "b": "edcba"}, {"a": "ab", "b": ""}, {"a": "", "b": ""}]
ROWS = Rows([Row(cells, "rows", i) for i, cells in enumerate(CELLS, start=1)])
BOTH = (("a", "b"), ("b", "a"))


def read(ways, **changes):
    field = fields.Readings(ways, tokenizers.Characters(), **changes).fit(ROWS)
    return field, field.batch([field.read(row) for row in ROWS.rows])


def test_texts_stand_between_tokens_that_none_can_spell():
    field, signal = read((("a", "b"),))
    own = field.tokenizer
    assert isinstance(own, tokenizers.Delimited)
    a, b, c, d, e = (int(own.encode(letter)[0]) for letter in "abcde")
    start, mark, extract = own.start, own.delimiter, own.extract
    assert len({a, b, c, d, e, start, mark, extract}) == 8 and field.size == 1 + max(start, mark, extract)
    assert signal.values[0].tolist() == [start, a, b, c, mark, d, e, extract, 0]
    assert signal.values[1].tolist() == [start, a, mark, e, d, c, b, a, extract]
    assert signal.mask.sum(axis=1).tolist() == [8, 9, 0, 0] and signal.segments is None
    assert own.decode(signal.values[0]) == "abcde"
    assert own.sizes()[[a, start, mark, extract]].tolist() == [1, 0, 0, 0]
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(field)))) == field


def test_every_way_is_a_segment_of_its_own():
    field, signal = read(BOTH)
    assert field.length == 9 and signal.values.shape == (4, 18)
    assert signal.segments.tolist()[0] == [1] * 8 + [0] + [2] * 8 + [0]
    assert signal.segments.tolist()[2] == [0] * 9 + [2] * 5 + [0] * 4  # the way that ends with an empty column is none
    assert signal.positions[0].tolist() == [*range(9), *range(9)]
    there, back = (field.tokenizer.decode(signal.values[0][part]) for part in (slice(0, 9), slice(9, 18)))
    assert (there, back) == ("abcde", "deabc")


def test_what_follows_is_in_the_same_reading():
    field, signal = read(BOTH)
    target = fields.Follows(field).fit(ROWS)
    known = target.batch([target.read(row) for row in ROWS.rows])
    at = np.flatnonzero(known.mask[0])
    assert at.tolist() == [*range(7), *range(9, 16)]  # all but the two extract tokens
    np.testing.assert_array_equal(known.values[0][at], signal.values[0][at + 1])
    assert not known.values[~known.mask].any() and target.kind == "words"


def test_a_long_reading_loses_the_ends_of_its_longest_texts():
    field, signal = read((("a", "b"),), length=6)
    assert field.tokenizer.decode(signal.values[0]) == "ade" and field.tokenizer.decode(signal.values[1]) == "aed"
    assert [field.tokenizer.extract in row for row in signal.values[:2]] == [True, True]
    assert [field.cuts(field.read(row)) for row in ROWS.rows[:2]] == [True, True]


def test_gpt1s_own_three_tokens_follow_its_words(tmp_path):
    words = ["<unk>", "l", "o", "w", "w</w>", "lo", "low</w>"]
    (tmp_path / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nl o\nlo w</w>\n")
    own = tokenizers.Delimited(tokenizers.BytePairs(path=str(tmp_path / "merges.txt"))).fit([])
    assert (own.start, own.delimiter, own.extract, own.size) == (7, 8, 9, 10)
    assert own.joined([own.encode("low"), own.encode("low")]).tolist() == [7, 6, 8, 6, 9]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fields.Readings(()), "must name a column or more"),
        (lambda: fields.Readings((("a",), ())), "must name a column or more"),
        (lambda: fields.Readings(BOTH, length=4), "length is 4; with its delimiters it must be 5 or more"),
        (lambda: fields.Readings(BOTH).shape, "no length yet"),
        (lambda: fields.Readings((("b",),)).fit(Rows([Row({"b": ""}, "rows", 1)])), "no training row has a text in b"),
    ],
)
def test_mistakes_are_told(make, message):
    with pytest.raises(UserError, match=message):
        make()
