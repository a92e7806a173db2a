"""Prompts out of cells, answers that follow them, and what is known of either."""

import json

import numpy as np
import pytest

from mmjax import datasets, fields, tokenizers, transforms
from mmjax.core import UserError, plain
from mmjax.data.examples import unlabelled
from mmjax.data.schema import Schema
from mmjax.data.sources import BadRow, Row, Rows

ROWS = [
    {"organ": "head", "question": "where is it", "answer": "on the left", "kind": "open"},
    {"organ": "head", "question": "is it big", "answer": "no", "kind": "closed"},
    {"organ": "", "question": "is <image> big", "answer": "no", "kind": "closed"},
    {"organ": "chest", "question": "is it small", "answer": "", "kind": "closed"},
    {"organ": "chest", "question": "", "answer": ["left", "left side"], "kind": "open"},
]
TEMPLATE = "<image>{organ} question: {question} answer:"


def rows(cells=ROWS):
    return Rows([Row(each, "rows.jsonl", i) for i, each in enumerate(cells, start=1)])


def prompt(template=TEMPLATE, **changes):
    return fields.Prompt(template, **{"places": {"audio": 0, "image": 2}} | changes)


def fitted(**changes):
    return prompt(**changes).fit(rows())


def words(field, ids):
    return field.tokenizer.decode(ids)


def test_prompt_then_answer_then_end():
    field = fitted()
    target = fields.Reply(prompt(), by="kind").fit(rows())
    assert target.prompt == field
    examples = [field.read(row) for row in rows().rows]
    text, known = field.batch(examples), target.batch([target.read(row) for row in rows().rows])
    assert text.values.shape == known.values.shape == (5, field.length + field.reply - 1)
    assert (text.values[:, :2] == -2).all()  # audio is the first name, image the second
    for i, row in enumerate(ROWS):
        own, told = text.values[i][text.mask[i]], known.values[i][known.mask[i]]
        asked = len(own) - max(0, len(told) - 1)
        question = row["question"].replace("<", "").replace(">", "")
        assert words(field, own[:asked]).split() == [*row["organ"].split(), "question", *question.split(), "answer"]
        answer = row["answer"] if isinstance(row["answer"], str) else row["answer"][0]
        assert words(field, told) == answer
        assert (told[-1] == field.tokenizer.end) if answer else not len(told)
        np.testing.assert_array_equal(own[asked:], told[:-1])
        if answer:  # the first word of the answer is asked for at the last of the prompt
            assert np.flatnonzero(known.mask[i])[0] == asked - 1
    assert target.common == {"": "no", "closed": "no", "open": "left"}
    assert field.size == field.tokenizer.end + 1


def test_fields_survive_json():
    for field in (prompt(), fitted(), fields.Reply(prompt(), by="kind").fit(rows())):
        assert plain.from_plain(json.loads(json.dumps(plain.to_plain(field)))) == field


def test_every_tokenizer_has_an_end_of_its_own():
    for inner in (tokenizers.Words(), tokenizers.Characters(), tokenizers.Bytes(), tokenizers.BytePairs(limit=300)):
        field = fitted(tokenizer=inner)
        cells = {**ROWS[0], "answer": "never seen: \N{SNOWMAN}"}
        ids = field.read(Row(cells, "", 1))[:, 0]
        assert list(ids).count(field.tokenizer.end) == 1 and ids.max() < field.size
        assert not len(field.tokenizer.sizes()) or len(field.tokenizer.sizes()) == field.size


def test_too_long_loses_first_words_and_never_a_place():
    field = fitted(length=5, reply=2)
    example = field.read(rows().rows[0])
    assert field.cuts(example) and not fitted().cuts(example)
    text, (told,) = field.batch([example]), fields.Reply(field).batch([example]).values
    assert list(text.values[0, :2]) == [-2, -2] and words(field, text.values[0]) == "is it answer on"
    assert words(field, told) == "on the"


def test_rows_without_answers_are_only_asked():
    field = fitted()
    cells = {"question": "where is it"}
    text = field.batch([field.read(Row(cells, "", 1))])
    assert words(field, text.values[0][text.mask[0]]) == "question where is it answer"
    schema = unlabelled(Schema({"text": field}, {}))
    asking = schema.inputs["text"]
    assert asking.columns == ("organ", "question")
    assert words(field, asking.read(rows().rows[0])[:, 0]) == "head question where is it answer"


def test_an_empty_prompt_is_the_end_of_the_text_before():
    field = fields.Prompt("", "{organ} and {kind}").fit(rows())
    example = field.read(rows().rows[0])
    assert example[0, 0] == field.tokenizer.end and words(field, example[:, 0]) == "head and open"
    assert field.answers(rows().rows[2]) is None  # its organ is empty


def test_masked_words_leave_answers_alone():
    field = fitted()
    example = field.read(rows().rows[0])
    hidden = transforms.MaskWords("text", 1.0)({"text": example}, np.random.default_rng(0))["text"]
    asked = example[:, 1] == 0
    assert set(hidden[asked, 0]) == {-2, 1} and (hidden[~asked] == example[~asked]).all()
    assert transforms.Hide("image", 1.0)({"image": example, "text": example}, np.random.default_rng(0))["image"] is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: prompt("<imag>{question}"), "places lacks the mark <imag>; did you mean 'image'"),
        (lambda: prompt("{question}"), "places has image=2, but the template has no <image>"),
        (lambda: prompt("<image>{question"), "has a brace that names no column"),
        (lambda: prompt(length=1), "length is 1; it must be 2 or more"),
        (lambda: prompt(answer="{nothing}").fit(rows()), "no training row has an answer"),
    ],
)
def test_mistakes_are_one_line(make, told):
    with pytest.raises(UserError, match=told) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_unknown_columns_and_wrong_cells_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    field = prompt("<image>{quetsion}")
    with pytest.raises(UserError, match="no column 'quetsion'; did you mean 'question'"):
        datasets.Manifest(str(path), inputs={"text": field}, targets={"next": fields.Reply(field)}).fit()
    with pytest.raises(BadRow, match="question is no text but a dict"):
        fitted().read(Row({"question": {}}, "", 1))
