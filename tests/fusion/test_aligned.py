"""Sequences side by side: which position meets which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import fusion
from mmjax.core import Tokens


def counting(length, *masks):
    """Tokens whose value tells their position."""
    values = jnp.broadcast_to(jnp.arange(1.0, length + 1)[None, :, None], (len(masks), length, 1))
    return Tokens(values, jnp.asarray(masks, bool))


def met(streams, **fields):
    """Positions of the first and the second stream that stand together, 0 for none: (first, second) for each token."""
    module = fusion.Aligned(width=2, depth=0, **fields)
    rows = {"kernel": jnp.eye(2)[:, None], "bias": jnp.zeros(2)}
    params = {
        f"project_{name}": {"kernel": rows["kernel"][i], "bias": rows["bias"]} for i, name in enumerate(sorted(streams))
    }
    out = jax.jit(lambda streams: module.apply({"params": params}, streams, train=False))(streams)
    return [
        [tuple(int(x) for x in token) for token in np.asarray(values)[np.asarray(mask)]]
        for values, mask in zip(out.values, out.mask, strict=True)
    ]


LONG = counting(4, [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0])
SHORT = counting(2, [1, 1], [1, 1], [1, 1], [1, 0])


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_shorter_streams_are_stretched_to_the_longest_of_the_row(names):
    found = met({names[0]: LONG, names[1]: SHORT})
    wanted = [
        [(1, 1), (2, 1), (3, 2), (4, 2)],
        [(1, 1), (2, 2)],
        [(0, 1), (0, 2)],
        [(1, 1), (2, 1), (3, 1)],
    ]
    order = slice(None) if names == "ab" else slice(None, None, -1)
    assert found == [[token[order] for token in row] for row in wanted]


def test_without_stretch_position_meets_position():
    assert met({"a": LONG, "b": SHORT}, stretch=False) == [
        [(1, 1), (2, 2), (3, 0), (4, 0)],
        [(1, 1), (2, 2)],
        [(0, 1), (0, 2)],
        [(1, 1), (2, 0), (3, 0)],
    ]


def test_a_gap_keeps_its_place():
    gap = counting(4, [1, 0, 1, 1])
    whole = counting(4, [1, 1, 1, 1])
    assert met({"a": gap, "b": whole}) == [[(1, 1), (0, 2), (3, 3), (4, 4)]]
    assert met({"a": gap, "b": gap}) == [[(1, 1), (3, 3), (4, 4)]]


def test_the_longest_stream_left_out_equals_it_masked():
    hidden = LONG.replace(mask=jnp.zeros_like(LONG.mask), values=jnp.full_like(LONG.values, jnp.nan))
    alone = met({"b": SHORT})
    assert [[(b,) for _, b in row] for row in met({"a": hidden, "b": SHORT})] == [
        [(b,) for b, _ in row] for row in alone
    ]
