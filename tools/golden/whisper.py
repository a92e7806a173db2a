"""Whisper whole: logits, and what greedy decoding writes after a prompt."""

import importlib
from typing import Any

import numpy as np

from tools.golden import weight

WORDS, PROMPT, NEW = 40, 2, 12
SIZE: dict[str, Any] = {"d_model": 16, "vocab_size": WORDS, "num_mel_bins": 10}
SIZE |= {"max_source_positions": 11, "max_target_positions": 24}
SIZE |= {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in
         (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))}  # fmt: skip
SIZE |= {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 1}


def main() -> None:
    """Logits (``b n k``) and greedy words of transformers' Whisper."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    module = importlib.import_module("transformers.models.whisper.modeling_whisper")
    model = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**SIZE))
    shapes = weight.fill(model)
    del shapes["proj_out.weight"]  # the words' table once more
    del shapes["model.encoder.embed_positions.weight"]  # which are fixed
    own = {name: torch.from_numpy(value) for name, value in weight.drawn(shapes).items()}
    positions = module.sinusoids(SIZE["max_source_positions"], SIZE["d_model"])
    model.load_state_dict(own | {"model.encoder.embed_positions.weight": positions}, strict=False)
    model.tie_weights()
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(3, 22, 10)).astype(np.float32)
    ids = rng.integers(1, WORDS, (3, 14))
    given = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 2, 1)))
    with torch.no_grad():
        logits = model(given, decoder_input_ids=torch.from_numpy(ids)).logits.numpy()
        row = torch.from_numpy(ids[:, :PROMPT])
        for _ in range(NEW):
            row = torch.cat([row, model(given, decoder_input_ids=row).logits[:, -1:].argmax(-1)], dim=1)
    source = f"transformers {transformers.__version__}, torch {torch.__version__}"
    said = {"ids": ids.astype(np.int32), "said": row[:, PROMPT:].numpy().astype(np.int32)}
    fixed = {"positions": positions.numpy()}
    weight.write("whisper_whole", source=source, shapes=shapes, frames=frames, logits=logits, **said, **fixed)
