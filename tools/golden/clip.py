"""CLIP: the vectors of pictures and texts, and how alike they are."""

import importlib
from typing import Any

import numpy as np

from tools.golden import weight

WORDS, END, LENGTHS = 30, 29, (9, 4, 6)
TOWER: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
VISION = {**TOWER, "image_size": 12, "patch_size": 4}
TEXT = {**TOWER, "vocab_size": WORDS, "max_position_embeddings": 11}
TEXT |= {"bos_token_id": 1, "eos_token_id": END, "pad_token_id": END}


def main() -> None:
    """Vectors (``b d``) and logits (texts by pictures) of transformers' CLIP."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    config = transformers.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=8)
    model = transformers.CLIPModel(config)
    shapes = weight.fill(model)
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(3, 12, 12, 3)).astype(np.float32)
    mask = np.arange(max(LENGTHS)) < np.asarray(LENGTHS)[:, None]
    ids = np.where(mask, rng.integers(2, END, mask.shape), END)
    ids[np.arange(3), np.asarray(LENGTHS) - 1] = END
    with torch.no_grad():
        found = model(
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask.astype(np.int64)),
            pixel_values=torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))),
        )
    source = f"transformers {transformers.__version__}, torch {torch.__version__}"
    given = {"pictures": pictures, "ids": ids.astype(np.int32), "mask": mask}
    said = {"image": found.image_embeds.numpy(), "text": found.text_embeds.numpy()}
    weight.write("clip", source=source, shapes=shapes, logits=found.logits_per_text.numpy(), **given, **said)
