"""How fast a GPT decodes one text, against what memory gives: ``python tools/decode.py [--torch PYTHON] [--depth N]``.

GPT-2's smallest with random weights, in float32, a row of 256 slots. The roof is the best of a sum over, and a product
of one row with, 512 MB. Ours, the roof and transformers' GPT-2 on torch (in eager mode with its cache, in a process of
its own, where ``--torch`` names a Python that has them) take turns; figures are medians. One line of JSON a figure.
Bytes are those of the weights that a step must read, words that are looked up and positions left out, and of the filled
slots.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

PROMPT, SLOTS, STEPS = 32, 256, 8
_PEER = """
import sys, time, torch, transformers
torch.set_num_threads({threads})
model = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer={depth})).eval()
with torch.inference_mode():
    out = model(torch.randint(0, 50257, (1, {prompt})), use_cache=True)
    for line in sys.stdin:
        cache, word, took = out.past_key_values, out.logits[:, -1:].argmax(-1), []
        for _ in range({steps}):
            start = time.perf_counter()
            again = model(word, past_key_values=cache, use_cache=True)
            cache, word = again.past_key_values, again.logits[:, -1:].argmax(-1)
            word.item()
            took.append(time.perf_counter() - start)
        if hasattr(cache, "crop"):
            cache.crop(-{steps})
        print(sorted(took)[len(took) // 2], flush=True)
"""


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", metavar="PYTHON", help="a Python with torch and transformers")
    parser.add_argument("--depth", metavar="N", type=int, default=12)
    parser.add_argument("--turns", metavar="N", type=int, default=7)
    parser.add_argument("--threads", metavar="N", type=int, default=2, help="of torch")
    options = parser.parse_args()
    ours, size = _ours(options.depth)
    roofs = _roofs()
    peer = _peer(options) if options.torch else None
    times: dict[str, list[float]] = {"ours": [], **{name: [] for name in roofs}, **({"torch": []} if peer else {})}
    for _ in range(options.turns):
        times["ours"].append(ours())
        for name, roof in roofs.items():
            times[name].append(roof())
        if peer:
            times["torch"].append(_asked(peer))
    speed = {name: size / statistics.median(took) for name, took in times.items() if name in ("ours", "torch")}
    roof = max(2**29 / statistics.median(times[name]) for name in roofs)
    _say("memory roof", roof / 1e9, "GB/s")
    for name, value in speed.items():
        _say(f"decode, {name}", value / 1e9, "GB/s", step_ms=1e3 * statistics.median(times[name]), of_roof=value / roof)
    if peer:
        _say("decode, times torch", speed["ours"] / speed["torch"], "x")
        peer.terminate()


def _ours(depth: int):
    """The seconds of a step, and the bytes that it has to read."""
    import jax
    import jax.numpy as jnp

    from mmjax.core import Signal, trees
    from mmjax.generate import Choice, Decoder
    from mmjax.zoo import gpt2

    model = gpt2.small(depth=depth)
    inputs = {"text": Signal(jnp.zeros((1, 4), jnp.int32), jnp.ones((1, 4), bool))}
    weights = jax.jit(lambda key: model.init(key, inputs, train=False))(jax.random.key(0))
    size = 4 * (trees.count(weights) - model.length * model.width + 2 * depth * model.width * PROMPT)
    decoder, how = Decoder(model, weights, slots=SLOTS), Choice(temperature=0)
    del weights

    def run() -> float:
        state, took = decoder.begin([list(range(PROMPT))], how), []
        for _ in range(STEPS):
            jax.block_until_ready(state)
            start = time.perf_counter()
            state = decoder.step(state, how)
            int(state["ids"][0])
            took.append(time.perf_counter() - start)
        return statistics.median(took[1:])

    run()
    return run, size


def _roofs():
    """Seconds to read 512 MB once: added up, and multiplied with a row."""
    import jax
    import jax.numpy as jnp

    matrix = jnp.ones((2**13, 2**14), jnp.float32)
    row = jnp.ones((1, 2**14), jnp.float32)
    functions = {
        "sum": jax.jit(lambda matrix, row: jnp.sum(matrix)),
        "product": jax.jit(lambda matrix, row: row @ matrix.T),
    }

    def timed(function):
        def run() -> float:
            took = []
            for _ in range(5):
                start = time.perf_counter()
                jax.block_until_ready(function(matrix, row))
                took.append(time.perf_counter() - start)
            return statistics.median(took[1:])

        return run

    return {name: timed(function) for name, function in functions.items()}


def _peer(options: argparse.Namespace) -> subprocess.Popen:
    code = _PEER.format(threads=options.threads, depth=options.depth, prompt=PROMPT, steps=STEPS)
    peer = subprocess.Popen([options.torch, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _asked(peer)
    return peer


def _asked(peer: subprocess.Popen) -> float:
    assert peer.stdin and peer.stdout
    peer.stdin.write("go\n")
    peer.stdin.flush()
    return float(peer.stdout.readline())


def _say(figure: str, value: float, unit: str, **more: float) -> None:
    more = {name: round(number, 3) for name, number in more.items()}
    print(json.dumps({"figure": figure, "value": round(value, 3), "unit": unit, **more}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
