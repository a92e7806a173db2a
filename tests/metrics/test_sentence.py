"""Sentences held against references: by hand, and by the libraries' own figures of a corpus."""

import math

import jiwer
import numpy as np
import pytest
import sacrebleu

from mmjax.core import UserError
from mmjax.metrics import sentences

SAID = [
    "a dog runs over the green grass",
    "two children play football in the park",
    "the heart is enlarged",
    "there is nothing to be seen here",
]
KNOWN = [
    ["a brown dog runs across the grass", "the dog is running on green grass"],
    ["two children play football in a park", "kids are playing with a ball in the park"],
    ["the heart is enlarged", "an enlarged heart"],
    ["no finding", "there is nothing to see"],
]


def values(said, references, *figures):
    found = sentences(said, references, figures=figures, resamples=0)
    return [found[name]["value"] for name in figures]


def test_bleu_is_that_of_the_corpus():
    expected = sacrebleu.corpus_bleu(SAID, [list(stream) for stream in zip(*KNOWN, strict=True)]).score
    assert values(SAID, KNOWN, "bleu") == [pytest.approx(expected, abs=1e-9)]


def test_error_rates_are_those_of_the_corpus():
    first = [several[0] for several in KNOWN]
    words, letters = values(SAID, first, "word_error_rate", "character_error_rate")
    assert words == pytest.approx(jiwer.wer(first, SAID)) and letters == pytest.approx(jiwer.cer(first, SAID))
    assert values(["one too"], [["one two three", "one two"]], "word_error_rate") == [0.5]  # the nearer reference
    assert values(["a b c d"], ["a"], "word_error_rate") == [3.0]


def test_rouge_l_is_that_of_its_paper():
    known = "police killed the gunman"
    assert values(["police kill the gunman"], [known], "rouge_l") == [0.75]
    assert values(["the gunman kill police"], [known], "rouge_l") == [0.5]


def test_short_answers_leave_case_articles_and_punctuation_out():
    names = ("exact_match", "token_f1", "vqa_accuracy")
    assert values(["The left lung."], ["left lung"], *names) == [1, 1, 1]
    assert values(["left upper lung"], [["right lung", "left lung"]], "exact_match", "token_f1") == [0, 0.8]
    asked = ["yes"] * 3 + ["no"] * 7
    assert values(["Yes"], [asked], "vqa_accuracy") == [pytest.approx((3 * 2 / 3 + 7) / 10)]
    assert values(["no", "maybe"], [asked, asked], "vqa_accuracy") == [pytest.approx(0.5)]
    assert values([""], [""], "exact_match", "token_f1") == [1, 1]


def test_cider_of_the_same_is_ten_and_rare_words_count_more():
    first = [several[0] for several in KNOWN]
    alike = values(first[:2] + first[2:3], first[:3], "cider")[0]
    assert alike == pytest.approx(10)
    assert values([first[3], "x"], [first[3], "y"], "cider") == [
        pytest.approx((10 * 2 / 4 + 0) / 2)
    ]  # no longer n-gram
    longer = values(["p q r s", "x", "z"], ["p q r s t u", "y", "z"], "cider")[0]
    cosines = [math.sqrt(share) for share in (4 / 6, 3 / 5, 2 / 4, 1 / 3)]
    expected = 10 * np.mean(cosines) * math.exp(-(2**2) / (2 * 6**2))
    assert longer == pytest.approx((expected + 0 + 10 / 4) / 3)
    assert values(["a b", "a b"], ["a b", "a b"], "cider") == [0]  # said of everything: it tells nothing
    common, rare = (values([said, "a q"], ["a b", "a q"], "cider")[0] for said in ("a", "b"))
    assert rare > common


def test_intervals_hold_the_figure_and_rows_are_drawn():
    found = sentences(SAID, KNOWN, resamples=200)
    for name, figure in found.items():
        if name != "count":
            assert figure["low"] <= figure["value"] <= figure["high"] and figure["low"] < figure["high"], name
    assert found["count"] == 4
    assert sentences([], [])["bleu"]["value"] is None


@pytest.mark.parametrize(
    ("said", "references", "figures", "message"),
    [
        (["a"], ["a"], ["blue"], "'blue' is no figure of sentences; there are exact_match"),
        (["a", "b"], ["a"], ["bleu"], "2 sentences were said, and there are references for 1"),
        (["a"], [[]], ["rouge_l"], "row 0 has no reference"),
        (["a"], [" "], ["word_error_rate"], "row 0 has an empty reference"),
        (["a", "b"], ["a", ["b", "c"]], ["bleu"], "as many references for every row"),
        (["a", "b"], ["a", "b"], ["bleu"], "2 sentences were said, and together tells of 3"),
    ],
)
def test_what_makes_no_sense_is_told(said, references, figures, message):
    with pytest.raises(UserError, match=message):
        sentences(said, references, figures=figures, together="abc" if "together" in message else ())
