"""Transformer encoders of pictures, recordings and texts."""

import importlib
from typing import Any

import numpy as np

from tools.golden import weight

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WAVE = {
    **SMALL,
    "conv_dim": (6, 8, 8),
    "conv_kernel": (5, 3, 2),
    "conv_stride": (3, 2, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
LENGTHS = (9, 4)  # words of the two texts


def main() -> None:
    """The last tokens (``b n d``) of transformers' ViT, AST, Whisper (encoder), wav2vec 2.0 (both kinds) and BERT."""
    transformers = importlib.import_module("transformers")
    _vit(transformers)
    _ast(transformers)
    _whisper(transformers)
    _wave("wav2vec2_group", transformers, feat_extract_norm="group", conv_bias=False, do_stable_layer_norm=False)
    _wave("wav2vec2_layer", transformers, feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True)
    _bert(transformers)


def _vit(transformers: Any) -> None:
    config = transformers.ViTConfig(**SMALL, image_size=(12, 8), patch_size=4, layer_norm_eps=1e-12)
    model = transformers.ViTModel(config, add_pooling_layer=False)
    pictures = _noise(2, 12, 8, 3)
    _write("vit", model, weight.fill(model), pictures=pictures, given=pictures.transpose(0, 3, 1, 2))


def _ast(transformers: Any) -> None:
    sizes = {"patch_size": 4, "frequency_stride": 3, "time_stride": 3, "max_length": 23, "num_mel_bins": 12}
    model = transformers.ASTModel(transformers.ASTConfig(**SMALL, **sizes, layer_norm_eps=1e-12))
    frames = _noise(2, 23, 12)
    _write("ast", model, weight.fill(model), frames=frames, given=frames)


def _whisper(transformers: Any) -> None:
    module = importlib.import_module("transformers.models.whisper.modeling_whisper")
    sizes = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
    model = module.WhisperEncoder(transformers.WhisperConfig(**sizes, num_mel_bins=10, max_source_positions=11))
    shapes = weight.fill(model)
    model.embed_positions.weight.data.copy_(module.sinusoids(11, 16))
    frames = _noise(2, 22, 10)
    _write("whisper", model, shapes, frames=frames, given=frames.transpose(0, 2, 1))


def _wave(name: str, transformers: Any, **fields: Any) -> None:
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**WAVE, **fields))
    waves = _noise(2, 120)
    _write(name, model, weight.fill(model), waves=waves, given=waves)


def _bert(transformers: Any) -> None:
    config = transformers.BertConfig(**SMALL, vocab_size=30, max_position_embeddings=12)
    model = transformers.BertModel(config, add_pooling_layer=False)
    ids = np.random.default_rng(0).integers(0, 30, (2, max(LENGTHS)))
    mask = np.arange(max(LENGTHS)) < np.asarray(LENGTHS)[:, None]
    _write("bert", model, weight.fill(model), ids=ids, mask=mask, given=ids, attention_mask=mask)
    config.pad_token_id = None  # whose vector would learn nothing; here it is a word as any other
    _masked(transformers.BertForMaskedLM(config), ids, mask)


def _masked(model: Any, ids: np.ndarray, mask: np.ndarray) -> None:
    """What BERT says of every word of texts, and its loss's gradient by the table of words, which says them, too."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    shapes = {name: shape for name, shape in weight.fill(model).items() if "decoder" not in name}  # which are copies
    state = {name: torch.from_numpy(value) for name, value in weight.drawn(shapes).items()}
    model.load_state_dict(state, strict=False)
    shown = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
    said = model(**shown, labels=torch.from_numpy(np.where(mask, ids, -100)))
    said.loss.backward()
    table = model.bert.embeddings.word_embeddings.weight
    source = f"transformers {transformers.__version__}, torch {torch.__version__}"
    arrays = {"logits": said.logits.detach().numpy(), "loss": said.loss.detach().numpy(), "slope": table.grad.numpy()}
    weight.write("bert_masked", source=source, shapes=shapes, ids=ids, mask=mask, **arrays)


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _write(
    name: str, model: Any, shapes: Any, *, given: np.ndarray, attention_mask: np.ndarray | None = None, **inputs: Any
) -> None:
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    more = {} if attention_mask is None else {"attention_mask": torch.from_numpy(attention_mask.astype(np.int64))}
    with torch.no_grad():
        tokens = model(torch.from_numpy(np.ascontiguousarray(given)), **more).last_hidden_state
    source = f"transformers {transformers.__version__}, torch {torch.__version__}"
    weight.write(name, source=source, shapes=shapes, tokens=tokens.numpy(), **inputs)
