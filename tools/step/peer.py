"""The same networks in torch, eager: asked by lines on standard input, ``python -m tools.step.peer`` answers on output.

A line names a shape; the answer is the loss of one step, its seconds, and those that processors were at work for it.
"""

import importlib
import sys
import time
from typing import Any

from tools.step.shape import DECAY, EPSILON, MELS, PATCH, RATE, SHAPES, SIZES, TOKENS, WORDS, Shape


def network(torch: Any, s: Shape) -> Any:
    """Front ends, layers, answer."""
    nn, functional = torch.nn, torch.nn.functional

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.LayerNorm(s.width, EPSILON), nn.LayerNorm(s.width, EPSILON)
            self.into, self.out = nn.Linear(s.width, 3 * s.width), nn.Linear(s.width, s.width)
            self.up, self.down = nn.Linear(s.width, 4 * s.width), nn.Linear(4 * s.width, s.width)

        def forward(self, x):
            b, n, d = x.shape
            split = self.into(self.first(x)).view(b, n, 3, s.heads, d // s.heads).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(*split, is_causal=s.causal)
            x = x + self.out(mixed.transpose(1, 2).reshape(b, n, d))
            return x + self.down(functional.gelu(self.up(self.second(x))))

    def layers(depth):
        return nn.Sequential(*(Layer() for _ in range(depth)), nn.LayerNorm(s.width, EPSILON))

    class Tower(nn.Module):
        def __init__(self, kind):
            super().__init__()
            if kind == "picture":
                self.front = nn.Conv2d(3, s.width, PATCH, PATCH)
            elif kind == "audio":
                self.front = nn.Sequential(
                    nn.Conv1d(MELS, s.width, 3, 1, 1), nn.GELU(), nn.Conv1d(s.width, s.width, 3, 2, 1), nn.GELU()
                )
            else:
                self.front = nn.Embedding(WORDS, s.width)
            self.layers, self.apart = layers(s.depth), kind in ("picture", "audio")
            self.position = nn.Parameter(torch.randn(TOKENS[kind], s.width) * 0.02)
            self.project = nn.Linear(s.width, s.width) if s.joint else nn.Identity()

        def forward(self, x):
            x = self.front(x)
            x = x.flatten(2).transpose(1, 2) if self.apart else x
            return self.project(self.layers(x + self.position))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.towers = nn.ModuleList(Tower(kind) for kind in s.kinds)
            self.joint = layers(s.joint) if s.joint else nn.Identity()
            self.norm, self.head = nn.LayerNorm(s.width, EPSILON), nn.Linear(s.width, s.classes, not s.causal)

        def forward(self, inputs):
            x = [tower(x) for tower, x in zip(self.towers, inputs, strict=True)]
            x = self.joint(torch.cat(x, dim=1)) if s.joint else x[0]
            return self.head(x).flatten(0, 1) if s.causal else self.head(self.norm(x.mean(1)))

    return Network()


def stepper(torch: Any, s: Shape) -> Any:
    """A step that goes on from where it was; gives the loss."""
    torch.manual_seed(0)
    model = network(torch, s)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    shapes = {"picture": (3, SIZES["picture"], SIZES["picture"]), "audio": (MELS, SIZES["audio"])}
    x = [
        torch.randn(s.batch, *shapes[kind]) if kind in shapes else torch.randint(0, WORDS, (s.batch, SIZES[kind]))
        for kind in s.kinds
    ]
    y = torch.randint(0, s.classes, (s.batch * (SIZES["causal"] if s.causal else 1),))

    def once() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return once


def main() -> None:
    """Answer until there is no more to read."""
    torch, steps = importlib.import_module("torch"), {}
    for line in sys.stdin:
        name = line.strip()
        if name not in steps:
            steps[name] = stepper(torch, SHAPES[name])
        start, busy = time.perf_counter(), time.process_time()
        loss = steps[name]()
        print(loss, time.perf_counter() - start, time.process_time() - busy, flush=True)


if __name__ == "__main__":
    main()
