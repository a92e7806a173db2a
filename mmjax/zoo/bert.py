"""BERT (Devlin et al., 2018, https://arxiv.org/abs/1810.04805): the encoder, alone or with what says masked words.

The encoder gives tokens as ``last_hidden_state`` has them. Published weights want texts that begin and end with the
tokens of their ``tokenizer.json`` (``[CLS]``, ``[SEP]``).
"""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax.core import Signal
from mmjax.encoders import Text
from mmjax.fusion import Towers
from mmjax.heads import Words
from mmjax.model import Multimodal
from mmjax.zoo import weight
from mmjax.zoo.weight import Account, Origin

TEXT, MASKED = "text", "masked"  # the modality and the head of ``masked``
_PREFIX = "bert."
_OLD = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}  # as the first files name norms


def base(**fields: Any) -> Text:
    """108,891,648 parameters; 30,522 words without capitals."""
    return _model(768, 12, 12, fields)


def large(**fields: Any) -> Text:
    """334,092,288 parameters."""
    return _model(1024, 24, 16, fields)


def _model(width: int, depth: int, heads: int, fields: dict[str, Any]) -> Text:
    own: dict[str, Any] = {"vocabulary": 30_522, "positions": "learned", "length": 512, "types": 2}
    own |= {"key_bias": True, "norm_first": False, "epsilon": 1e-12, "dropout": 0.1}
    own |= {"width": width, "depth": depth, "heads": heads}
    return Text(**own | fields)


def masked(encoder: Text) -> Multimodal:
    """The encoder, and at every place of ``TEXT`` logits of the word that stands there (head ``MASKED``).

    ``views.MaskedWords`` with ``objectives.CrossEntropy(MASKED)`` trains it, as ``BertForMaskedLM`` is.
    """
    words = Words(encoder.vocabulary, stream=TEXT, hidden=True, tied=True, bias=True, epsilon=encoder.epsilon)
    return Multimodal(
        encoders={TEXT: encoder},
        fusion=Towers(encoder.width, bare=(TEXT,), unit=False),
        heads={MASKED: words.clone(dtype=encoder.dtype)},
    )


def inputs(model: Text | Multimodal) -> Any:
    """The smallest that the model takes, by which its parameters are known."""
    text = Signal(jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool))
    return {TEXT: text} if isinstance(model, Multimodal) else text


def adopt(tensors: Mapping[str, Any], model: Text | Multimodal) -> tuple[dict[str, Any], Account]:
    """Released weights (transformers' names, with or without ``bert.``) as parameters of ``model``.

    The pooler and heads that ``model`` has not are listed as extra, so are copies of the words' table and bias that
    some files hold (``cls.predictions.decoder``). UserError where a tensor is missing.
    """
    return weight.adopt({_plain(name): value for name, value in tensors.items()}, model, origin, inputs(model))


def release(params: Any, *, like: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Parameters under the names of the released files.

    like: the tensors that they were adopted from: names are as there, and those that nothing was made of go back, too.
    """
    found = weight.release(params, origin)
    if like is None:
        return found
    return {name: found.get(_COPIES.get(name, _plain(name)), np.asarray(value)) for name, value in like.items()}


def _plain(name: str) -> str:
    for new, old in _OLD.items():
        name = name.replace(old, new)
    return name.removeprefix(_PREFIX)


_COPIES = {
    "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
_HEAD = {
    "bias": Origin(("cls.predictions.bias",)),
    "dense/kernel": Origin(("cls.predictions.transform.dense.weight",), transposed=True),
    "dense/bias": Origin(("cls.predictions.transform.dense.bias",)),
    "norm/scale": Origin(("cls.predictions.transform.LayerNorm.weight",)),
    "norm/bias": Origin(("cls.predictions.transform.LayerNorm.bias",)),
}
_WHOLE = {
    "embed/embedding": "embeddings.word_embeddings.weight",
    "position/embedding": "embeddings.position_embeddings.weight",
    "type": "embeddings.token_type_embeddings.weight",
    "trunk/norm/scale": "embeddings.LayerNorm.weight",
    "trunk/norm/bias": "embeddings.LayerNorm.bias",
}
_PARTS = {f"attention/{name}": f"attention.self.{name}" for name in ("query", "key", "value")}
_PARTS |= {"attention/out": "attention.output.dense", "attention_norm": "attention.output.LayerNorm"}
_PARTS |= {"mlp/up": "intermediate.dense", "mlp/down": "output.dense", "mlp_norm": "output.LayerNorm"}


def origin(path: str) -> Origin | None:
    """The released tensor of one of our leaves, of the encoder or of what ``masked`` makes."""
    head, path = path.removeprefix(f"heads_{MASKED}/"), path.removeprefix(f"encoders_{TEXT}/")
    if head in _HEAD:
        return _HEAD[head]
    if path in _WHOLE:
        return Origin((_WHOLE[path],))
    found = re.fullmatch(r"trunk/block_(\d+)/(.+)/(kernel|bias|scale)", path)
    if found is None or found[2] not in _PARTS:
        return None
    end = "bias" if found[3] == "bias" else "weight"
    return Origin((f"encoder.layer.{found[1]}.{_PARTS[found[2]]}.{end}",), transposed=found[3] == "kernel")
