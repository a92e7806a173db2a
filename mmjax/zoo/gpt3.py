"""GPT-3 (Brown et al., 2020, https://arxiv.org/abs/2005.14165): eight sizes, a head size of its own, layers dense and
banded by turns.

How wide the bands were was never published; here they are 256 tokens, the field ``bands=(0, n)``. The paper calls its
XL 1.3 billion: with the 24 heads of 128 that its table gives it, rather than 16, it has 1.5. With ``dropout`` 0. Its
batches grow from 32,000 tokens (``train.Ramp``).
"""

from typing import Any

from mmjax.decoders import GPT


def small(**fields: Any) -> GPT:
    """125 million parameters."""
    return _model(12, 768, 12, 64, fields)


def medium(**fields: Any) -> GPT:
    """356 million parameters ("350M")."""
    return _model(24, 1024, 16, 64, fields)


def large(**fields: Any) -> GPT:
    """760 million parameters."""
    return _model(24, 1536, 16, 96, fields)


def xl(**fields: Any) -> GPT:
    """1.5 billion parameters ("1.3B")."""
    return _model(24, 2048, 24, 128, fields)


def billions_3(**fields: Any) -> GPT:
    """2.7 billion parameters."""
    return _model(32, 2560, 32, 80, fields)


def billions_7(**fields: Any) -> GPT:
    """6.7 billion parameters."""
    return _model(32, 4096, 32, 128, fields)


def billions_13(**fields: Any) -> GPT:
    """13 billion parameters, 5,140 wide with 40 heads of 128."""
    return _model(40, 5140, 40, 128, fields)


def davinci(**fields: Any) -> GPT:
    """175 billion parameters."""
    return _model(96, 12_288, 96, 128, fields)


def _model(depth: int, width: int, heads: int, head_size: int, fields: dict[str, Any]) -> GPT:
    size: dict[str, Any] = {"depth": depth, "width": width, "heads": heads, "head_size": head_size}
    size |= {"vocabulary": 50_257, "length": 2048, "bands": (0, 256)}
    return GPT(**size | fields)
