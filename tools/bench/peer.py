"""The same models in torch: ``python -m tools.bench.peer NAME [--tiny]`` prints the seconds of a step as JSON.

Eager and under ``torch.compile``, bfloat16 by autocast, float32 weights, fused AdamW where there is a GPU.
"""

import importlib
import json
import statistics
import sys
import time
from typing import Any

from tools.bench.size import EPSILON, SIZES, TINY, Size

TURNS = 12


def model(torch: Any, size: Size) -> Any:
    """A module whose ``forward`` gives the loss of a made-up batch, made by ``batch``."""
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, causal: bool):
            super().__init__()
            d = size.width
            self.causal = causal
            self.first, self.second = nn.LayerNorm(d, eps=EPSILON), nn.LayerNorm(d, eps=EPSILON)
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def forward(self, x: Any) -> Any:
            b, n, d = x.shape
            q, k, v = self.qkv(self.first(x)).view(b, n, 3, size.heads, d // size.heads).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
            x = x + self.out(mixed.transpose(1, 2).reshape(b, n, d))
            return x + self.down(functional.gelu(self.up(self.second(x))))

    def trunk(causal: bool = False) -> Any:
        return nn.Sequential(*[Block(causal) for _ in range(size.depth)], nn.LayerNorm(size.width, eps=EPSILON))

    class Words(nn.Module):
        def __init__(self, causal: bool):
            super().__init__()
            self.embed, self.place = nn.Embedding(size.words, size.width), nn.Embedding(size.length, size.width)
            self.trunk = trunk(causal)

        def forward(self, ids: Any) -> Any:
            return self.trunk(self.embed(ids) + self.place.weight)

    class Picture(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch, self.trunk = nn.Conv2d(3, size.width, size.patch, size.patch), trunk()
            self.place = nn.Parameter(torch.zeros((size.picture // size.patch) ** 2, size.width))

        def forward(self, pixels: Any) -> Any:
            return self.trunk(self.patch(pixels).flatten(2).transpose(1, 2) + self.place)

    class Sound(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(80, size.width, 3, padding=1)
            self.second = nn.Conv1d(size.width, size.width, 3, stride=2, padding=1)
            self.trunk, self.answer = trunk(), nn.Linear(size.width, 10)

        def forward(self, frames: Any) -> Any:
            hidden = functional.gelu(self.second(functional.gelu(self.first(frames.transpose(1, 2)))))
            return self.answer(self.trunk(hidden.transpose(1, 2)).mean(1))

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            if size.kind == "language":
                self.text, self.head = Words(causal=True), nn.Linear(size.width, size.words, bias=False)
            elif size.kind == "pair":
                self.text, self.image = Words(causal=False), Picture()
            else:
                self.audio = Sound()

        def forward(self, given: dict[str, Any]) -> Any:
            if size.kind == "language":
                logits = self.head(self.text(given["ids"]))
                return functional.cross_entropy(logits.flatten(0, 1).float(), given["ids"].flatten())
            if size.kind == "pair":
                left = functional.normalize(self.image(given["pixels"]).mean(1).float(), dim=-1)
                right = functional.normalize(self.text(given["ids"]).mean(1).float(), dim=-1)
                logits = 10 * left @ right.T - 10
                return (
                    -functional.logsigmoid((2 * torch.eye(len(logits), device=logits.device) - 1) * logits)
                    .sum(-1)
                    .mean()
                )
            return functional.cross_entropy(self.audio(given["frames"]).float(), given["labels"])

    return Whole()


def batch(torch: Any, size: Size, device: str) -> dict[str, Any]:
    """Random inputs, all of them; a model takes those of its kind."""
    ids = torch.randint(0, max(size.words, 1), (size.batch, max(size.length, 1)), device=device)
    pixels = torch.randn(size.batch, 3, max(size.picture, 1), max(size.picture, 1), device=device)
    frames = torch.randn(size.batch, max(size.frames, 1), 80, device=device)
    return {
        "ids": ids,
        "pixels": pixels,
        "frames": frames,
        "labels": torch.zeros(size.batch, dtype=torch.long, device=device),
    }


def seconds(torch: Any, size: Size, *, compiled: bool) -> float:
    """The median of several steps."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    whole, given = model(torch, size).to(device), batch(torch, size, device)
    optimizer = torch.optim.AdamW(whole.parameters(), lr=1e-3, weight_decay=0.05, fused=True)
    forward = torch.compile(whole) if compiled else whole
    times = []
    for turn in range(-3, TURNS):
        begun = time.perf_counter()
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = forward(given)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        if turn >= 0:
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main(words: list[str]) -> None:
    """One line of JSON: ``{"eager": seconds, "compiled": seconds}``; what does not fit into memory is None."""
    torch = importlib.import_module("torch")
    size = (TINY if "--tiny" in words else SIZES)[words[0]]
    found = {}
    for name, compiled in (("eager", False), ("compiled", True)):
        try:
            found[name] = seconds(torch, size, compiled=compiled)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            found[name], found[f"{name}_error"] = None, str(error).splitlines()[0][:200]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
