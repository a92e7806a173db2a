"""GPT-1, GPT-2 and Llama: logits, and what greedy decoding says after a prompt."""

import importlib
from typing import Any

import numpy as np

from tools.golden import weight

WORDS, PROMPT, NEW = 40, 5, 20
SMALL = {"vocab_size": WORDS, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
ENDLESS: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
LLAMA = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-5,
}


def main() -> None:
    """Logits (``b n k``) and words, greedy and by three beams, of transformers' GPT-1, GPT-2 and Llama."""
    transformers = importlib.import_module("transformers")
    _write("gpt1", transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**SMALL, **ENDLESS)))
    _write("gpt2", transformers.GPT2LMHeadModel(transformers.GPT2Config(**SMALL, **ENDLESS)))
    _write("llama", transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA, **ENDLESS)))


def _write(name: str, model: Any) -> None:
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    shapes = weight.fill(model)
    model.tie_weights()
    own = dict(model.named_parameters())  # a tied output is not drawn by its other name
    shapes = {key: shape for key, shape in shapes.items() if key in own}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weight.drawn(shapes).items()}, strict=False)
    ids = np.random.default_rng(0).integers(0, WORDS, (3, 24))
    with torch.no_grad():
        logits = model(torch.from_numpy(ids)).logits.numpy()
        prompts = torch.from_numpy(ids[:, :PROMPT])
        how = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0}
        greedy, searched = (
            model.generate(prompts, attention_mask=torch.ones_like(prompts), num_beams=beams, **how).numpy()
            for beams in (1, 3)
        )
    source = f"transformers {transformers.__version__}, torch {torch.__version__}"
    said, beams = (words[:, PROMPT:].astype(np.int32) for words in (greedy, searched))
    weight.write(name, source=source, shapes=shapes, ids=ids.astype(np.int32), logits=logits, said=said, beams=beams)
