"""Texts to numbers and back."""

import json

import numpy as np
import pytest

from mmjax import fields
from mmjax.core import UserError, plain
from mmjax.data.sources import Row, Rows
from mmjax.data.tokenizers import BytePairs, Characters, Words

EVERY_SCRIPT = [
    "Grüße an Zoë's naïve café: 3.5 km, 1,000 €!",
    "हिन्दी में लिखो",
    "東京は大きい。カタカナ",
    "нет, ещё не готово",
    "مرحبا بالعالم",
    "👩‍👩‍👧 family \t\n\r\n  spaces ",
    "\x00\x01 <pad> <unk> Ġ Ċ \ufeff \u200b e\u0301",
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, naïve café!", ["don't", "stop", "naïve", "café"]),
        ("e\u0301te\u0301 l\u2019été", ["été", "l\u2019été"]),
        ("1,000 mm or 3.5 cm.", ["1,000", "mm", "or", "3.5", "cm"]),
        ("T2-weighted MRI (axial)", ["t2", "weighted", "mri", "axial"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("東京は", ["東", "京", "は"]),
        ("カタカナ ещё", ["カタカナ", "ещё"]),
        ("so good 🎉🎉", ["so", "good", "🎉", "🎉"]),
        ("... !?", []),
    ],
)
def test_words_of_any_script(text, words):
    assert Words().pieces(text) == words


def test_stems_and_stop_words():
    assert Words(stem="english", stop="english").pieces("Are there any abnormalities in the lungs?") == [
        "abnorm",
        "lung",
    ]
    assert Words(stem="german").pieces("die Häuser") == ["die", "haus"]
    assert Words(stem="turkish").pieces("evlerimiz")[0].startswith("ev")
    assert Words(stop=("the", "a")).pieces("The cat a dog") == ["cat", "dog"]
    with pytest.raises(UserError, match=r"stem 'englsh' is no Snowball language; did you mean 'english'\?"):
        Words(stem="englsh")
    with pytest.raises(UserError, match="stop 'german' is neither"):
        Words(stop="german")


def test_the_vocabulary_is_the_commonest_words_and_the_rest_is_unknown():
    words = Words(limit=2).fit(["b b a a c", "a d"])
    assert words.vocabulary == ("a", "b") and words.size == 4
    assert words.encode("a c B z").tolist() == [2, 1, 3, 1]
    assert words.decode([2, 1, 3, 0, 0]) == "a � b"
    assert words.encode("").dtype == np.int32


@pytest.mark.parametrize("text", EVERY_SCRIPT)
def test_byte_pairs_come_back_exactly(text):
    pairs = BytePairs(limit=400).fit(["hello hello world, hello there"] * 4)
    ids = pairs.encode(text)
    assert pairs.decode(ids) == text
    assert ids.dtype == np.int32 and ids.min() > 1 and ids.max() < pairs.size


def test_byte_pairs_merge_what_is_frequent_and_train_the_same_twice():
    texts = ["hello hello world"] * 5
    pairs = BytePairs(limit=300).fit(texts)
    assert len(pairs.encode("hello")) < 3 and pairs.size <= 300
    assert pairs.json == BytePairs(limit=300).fit(texts).json


def test_characters_come_back_if_they_were_seen():
    characters = Characters().fit(EVERY_SCRIPT)
    for text in EVERY_SCRIPT[:-1]:
        assert characters.decode(characters.encode(text)) == text
    assert characters.encode("~").tolist() == [1]
    assert Characters(limit=1).fit(["aab"]).vocabulary == ("a",)


@pytest.mark.parametrize("tokenizer", [Words(stem="english", stop=("a",)), Characters(), BytePairs(limit=300)])
def test_a_fitted_text_field_is_plain_data(tokenizer):
    rows = Rows([Row({"x": text}, "rows", i) for i, text in enumerate(EVERY_SCRIPT)])
    field = fields.Text("x", tokenizer=tokenizer).fit(rows)
    again = plain.from_plain(json.loads(json.dumps(plain.to_plain(field))))
    assert again == field and again.size == field.size
    for row in rows.rows:
        np.testing.assert_array_equal(again.read(row), field.read(row))
    assert field.tokenizer.fit(["something else"]) == field.tokenizer
    pieces = field.tokenizer.pieces(EVERY_SCRIPT[0])
    assert len(pieces) == len(field.tokenizer.encode(EVERY_SCRIPT[0]))


def test_length_is_the_longest_training_text_and_longer_ones_lose_their_end():
    rows = Rows([Row({"x": "one two three"}, "rows", 1), Row({"x": "one"}, "rows", 2)])
    field = fields.Text("x").fit(rows)
    assert field.length == 3
    long = Row({"x": "three two one three two"}, "rows", 3)
    batch = field.batch([field.read(long), None, field.read(Row({"x": "... "}, "rows", 4))])
    assert batch.values.tolist() == [field.read(long)[:3].tolist(), [0, 0, 0], [0, 0, 0]]
    assert batch.mask.tolist() == [[True] * 3, [False] * 3, [False] * 3]
    assert field.cuts(field.read(long))
    assert fields.Text("x").fit(Rows([Row({"x": "w " * 2000}, "rows", 1)])).length == 512


def test_byte_pairs_in_lower_case():
    pairs = BytePairs(limit=400, lower=True).fit(["Hello hello World"] * 4)
    np.testing.assert_array_equal(pairs.encode("HELLO World"), pairs.encode("hello world"))
    assert pairs.decode(pairs.encode("HELLO World")) == "hello world"
