"""A prompt with several answers, in the order in which people liked them."""

import json

import numpy as np
import pytest

from mmjax import fields, tokenizers, transforms
from mmjax.core import UserError, plain
from mmjax.data.sources import Row, Rows

CELLS = [
    {"question": "ab", "first": "cab", "second": "a", "third": "b"},
    {"question": "b", "first": "a", "second": "bb", "third": ""},
    {"question": "a", "first": "", "second": "", "third": ""},
]
ROWS = Rows([Row(cells, "rows", i) for i, cells in enumerate(CELLS, start=1)])
ANSWERS = ("{first}", "{second}", "{third}")


def prompt(**changes):
    return fields.Prompt("<image>{question}", tokenizer=tokenizers.Characters(), places={"image": 2}, **changes)


def fitted(**changes):
    return fields.Ranked(prompt(**changes), ANSWERS).fit(ROWS)


def signals(field):
    return [each.batch([each.read(row) for row in ROWS.rows]) for each in (field, fields.Answers(field))]


def test_each_answer_is_the_prompt_and_it_alone():
    field = fitted()
    assert (field.prompt.length, field.prompt.reply, field.shape) == (4, 4, (21,))
    text, follows = signals(field)
    for i, cells in enumerate(CELLS):
        for k, name in enumerate(("first", "second", "third")):
            there = text.mask[i] & (text.segments[i] == k + 1)
            if not cells[name]:
                assert not there.any() and not follows.mask[i, 7 * k : 7 * k + 7].any()
                continue
            alone = prompt(length=4, reply=4, answer="{" + name + "}").fit(ROWS)
            alone = alone.__class__(**{**vars(alone), "tokenizer": field.tokenizer})
            own, known = (each.batch([each.read(ROWS.rows[i])]) for each in (alone, fields.Reply(alone)))
            part = slice(7 * k, 7 * k + 7)
            np.testing.assert_array_equal(text.values[i, part], own.values[0])
            np.testing.assert_array_equal(text.mask[i, part], own.mask[0])
            np.testing.assert_array_equal(text.positions[i, part], np.arange(7))
            np.testing.assert_array_equal(follows.values[i, part], known.values[0])
            np.testing.assert_array_equal(follows.mask[i, part], known.mask[0])
            assert set(follows.segments[i][follows.mask[i]]) <= {1, 2, 3}
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(field)))) == field


def test_worth_is_the_order():
    field = fields.Worth(fitted())
    worth = field.batch([field.read(row) for row in ROWS.rows])
    np.testing.assert_array_equal(worth.values, [[3, 2, 1], [3, 2, 0], [0, 0, 0]])
    np.testing.assert_array_equal(worth.mask, [[1, 1, 1], [1, 1, 0], [0, 0, 0]])
    assert field.batch([]).values.shape == (0, 3) and (field.shape, field.units(field.read(ROWS.rows[0]))) == ((3,), 3)


def test_it_can_be_asked_and_cut():
    field = fitted(reply=2)
    np.testing.assert_array_equal(field.prompted("ab"), field.prompt.read(ROWS.rows[0])[:4, 0])
    assert [field.cuts(field.read(row)) for row in ROWS.rows[:2]] == [True, True]
    assert (field.size, field.room, field.asked) == (field.prompt.size, {"image": 2}, ("question",))
    assert set(field.columns) == {"question", "first", "second", "third"}


def test_masked_words_leave_the_answers_alone():
    field = fitted()
    mask = transforms.MaskWords("text", 1.0)
    examples = [mask({"text": field.read(row)}, np.random.default_rng(0))["text"] for row in ROWS.rows[:2]]
    for example, row in zip(examples, ROWS.rows, strict=False):
        own = field.read(row)
        words = (own[:, 1] == 0) & (own[:, 0] > 1)
        np.testing.assert_array_equal(example, np.where(words[:, None] * [True, False, False], 1, own))
    assert field.batch(examples).mask.any()


def test_what_makes_no_sense_is_told():
    with pytest.raises(UserError, match="must be two or more, the best first"):
        fields.Ranked(prompt(), ("{first}",))
    with pytest.raises(UserError, match=r"no training row has an answer in '\{fourth\}', '\{fifth\}'"):
        fields.Ranked(prompt(), ("{fourth}", "{fifth}")).fit(ROWS)
