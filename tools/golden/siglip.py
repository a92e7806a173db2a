"""SigLIP: the vectors of pictures and texts, and how alike they are."""

import importlib
from typing import Any

import numpy as np

from tools.golden import weight

WORDS, LENGTH = 30, 7
TOWER: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
VISION = {**TOWER, "image_size": 12, "patch_size": 4}
TEXT = {**TOWER, "vocab_size": WORDS, "max_position_embeddings": LENGTH}


def main() -> None:
    """Vectors (``b d``) and logits (texts by pictures) of transformers' SigLIP."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    model = transformers.SiglipModel(transformers.SiglipConfig(text_config=TEXT, vision_config=VISION))
    shapes = weight.fill(model)
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(3, 12, 12, 3)).astype(np.float32)
    ids = rng.integers(0, WORDS, (3, LENGTH))
    with torch.no_grad():
        given = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
        found = model(input_ids=torch.from_numpy(ids), pixel_values=given)
    source = f"transformers {transformers.__version__}, torch {torch.__version__}"
    said = {"image": found.image_embeds.numpy(), "text": found.text_embeds.numpy()}
    inputs = {"pictures": pictures, "ids": ids.astype(np.int32)}
    weight.write("siglip", source=source, shapes=shapes, logits=found.logits_per_text.numpy(), **inputs, **said)
