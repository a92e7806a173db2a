"""BERT's masked words, counted."""

import jax
import numpy as np
import pytest

from mmjax import views
from mmjax.core import Batch, Signal, UserError

IDS = np.random.default_rng(0).integers(2, 50, (400, 500)).astype(np.int32)
REAL = np.arange(500) < np.random.default_rng(1).integers(0, 501, (400, 1))
VIEW = views.MaskedWords(mask=99, words=50, least=2, never=(7,))


def seen(view=VIEW, key=0):
    batch = jax.jit(lambda b, k: view(b, said=None, key=k))(Batch({"text": Signal(IDS, REAL)}, {}), jax.random.key(key))
    return np.asarray(batch.inputs["text"].values), batch.targets["masked"]


def test_of_the_chosen_words_eight_tenths_are_masked_and_one_is_drawn_and_one_stays():
    ids, target = seen()
    chosen = np.asarray(target.mask)
    np.testing.assert_array_equal(target.values, IDS)
    np.testing.assert_array_equal(ids[~chosen], IDS[~chosen])
    assert not chosen[~REAL].any() and not chosen[IDS == 7].any()
    assert chosen.sum() / (REAL & (IDS != 7)).sum() == pytest.approx(0.15, abs=0.005)
    masked, same = ids[chosen] == 99, ids[chosen] == IDS[chosen]
    assert masked.mean() == pytest.approx(0.8, abs=0.01)
    assert same.mean() == pytest.approx(0.1 + 0.1 / 48, abs=0.01)  # a drawn word may be the same
    drawn = ids[chosen][~masked & ~same]
    assert drawn.min() == 2 and drawn.max() == 49 and len(np.unique(drawn)) == 48


def test_ways_say_what_becomes_of_the_chosen():
    view = views.MaskedWords(mask=99, words=50, least=2, never=(7,), ways=(1.0, 0.0))
    ids, target = seen(view)
    assert np.all(ids[np.asarray(target.mask)] == 99)
    np.testing.assert_array_equal(target.mask, seen()[1].mask)


def test_the_key_alone_decides():
    np.testing.assert_array_equal(seen()[0], seen()[0])
    assert np.any(seen()[0] != seen(key=1)[0])


def test_what_makes_no_sense_is_told():
    with pytest.raises(UserError, match="share=0"):
        views.MaskedWords(mask=9, words=9, share=0)
    with pytest.raises(UserError, match=r"ways=\(0.9, 0.2\)"):
        views.MaskedWords(mask=9, words=9, ways=(0.9, 0.2))
    with pytest.raises(UserError, match="no modality 'words'"):
        seen(views.MaskedWords(mask=9, words=9, stream="words"))
