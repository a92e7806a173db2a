"""How quickly data reach a step, and how little of them is padding.

Times are of the processor where one thread works, so that other work on the machine does not count.
"""

import dataclasses
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image

from mmjax import datasets, fields
from mmjax.data import packing, pipeline, records
from mmjax.data.sources import Row
from tools.bench.figure import Figure

RECORDS, RAGGED, TURNS = 60_000, 10_000, 25
STEP = 0.020  # seconds


def figures() -> Iterator[Figure]:
    """Gathering, packing, the ragged stream, pictures, records, and how long a step waits."""
    yield from gathered()
    yield from packed()
    yield from ragged()
    yield from decoded()
    yield from stored()
    yield from waited()


def gathered() -> Iterator[Figure]:
    """Small records out of arrays: shuffled batches of pictures 28 x 28 with a label."""
    data = small()
    examples = data.open(data.fit())
    order = examples.order(0)
    for batch in (128, 1024):
        places = [np.arange(k * batch, (k + 1) * batch) for k in range(60)]
        seconds = statistics.median(cost(lambda own=own: examples.at(order(own))) for own in places)
        facts = {"records_per_second_and_core": round(batch / seconds), "batch": batch}
        yield Figure(f"array_record_batch_{batch}", seconds / batch * 1e6, "microseconds", 2.0, facts)


def packed() -> Iterator[Figure]:
    """How full rows are, and what packing costs an example: documents, and pictures of any shape."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(4, 17, (200_000, 2)).prod(axis=1)
    cases = {
        "documents_2048": (np.clip(rng.geometric(1 / 400, 200_000), 1, 2048), 2048),
        "long_tailed_1024": (np.clip(rng.lognormal(5.0, 1.0, 200_000).astype(int), 1, 1024), 1024),
        "picture_patches_1024": (pictures, 1024),
    }
    for name, (lengths, room) in cases.items():
        begun = time.process_time()
        rows = packing.best_fit(lengths, room, 1 << 30)
        seconds = time.process_time() - begun
        full = float(lengths.sum() / room / len(rows.counts))
        facts = {"full": round(full, 5), "examples": len(lengths)}
        yield Figure(f"padding_of_{name}", 100 * (1 - full), "percent", 0.5, facts)
        facts = {"examples_per_second": round(len(lengths) / seconds)}
        yield Figure(f"packing_of_{name}", seconds / len(lengths) * 1e6, "microseconds an example", 5.0, facts)
    for count, draws in ((RAGGED, 9), (20 * RAGGED, 2)):
        yield from dealt([rng.integers(0, 60, (count, 5)) for _ in range(draws)])


def dealt(draws: list[np.ndarray]) -> Iterator[Figure]:
    """The same of examples of several modalities, which all have to fit at once: medians over several draws."""
    fills, seconds, facts = [], [], {"rows": [], "least": []}
    for lengths in draws:
        room = np.ceil(32 * lengths.mean(axis=0)).astype(int)
        begun = time.process_time()
        facts["rows"].append(len(packing.packed(lengths, room, 48).counts))
        seconds.append((time.process_time() - begun) / len(lengths))
        facts["least"].append(int(np.ceil((lengths.sum(axis=0) / room).max())))
        fills.append(float((lengths.sum(axis=0) / room).mean()) / facts["rows"][-1])
    name, full, each = f"five_modalities_{len(draws[0])}", statistics.median(fills), statistics.median(seconds)
    yield Figure(f"padding_of_{name}", 100 * (1 - full), "percent", 0.5, {"full": round(full, 5), **facts})
    rates = {
        f"examples_per_second{kind}": round(1 / of(seconds))
        for kind, of in (("", statistics.median), ("_at_worst", max))
    }
    yield Figure(f"packing_of_{name}", each * 1e6, "microseconds an example", 5.0, rates)


def ragged() -> Iterator[Figure]:
    """Ten thousand examples of five modalities, each of a length of its own, some absent: shapes and padding."""
    rng = np.random.default_rng(0)
    data = five(rng)
    shared = data.open(data.fit())
    traced = []

    @jax.jit
    def step(inputs: Any) -> Any:
        traced.append(1)
        return jax.tree.map(jnp.sum, inputs)

    rows, batch = len(shared.order(0)), 4
    real: dict[str, list[float]] = {}
    stream = pipeline.stream(shared, batch=batch, seed=0)
    for found in itertools.islice(stream, rows // batch):
        step(found.inputs)
        for name, signal in found.inputs.items():
            real.setdefault(name, []).append(float(signal.mask.mean()))
    stream.close()
    each = {name: round(100 * (1 - statistics.mean(shares)), 2) for name, shares in real.items()}
    yield Figure("ragged_stream_compilations", len(traced), "compilations", 4, {"rows": rows, "examples": RAGGED})
    yield Figure("ragged_stream_padding", statistics.mean(each.values()), "percent", 2.0, {"by_modality": each})


def decoded() -> Iterator[Figure]:
    """JPEG files to batches, against what Pillow takes for opening, decoding and handing out the same pictures."""
    files = [jpeg(256, seed) for seed in range(32)]
    rows = [Row({"image": file}, "rows", i) for i, file in enumerate(files)]

    def alone() -> np.ndarray:
        found = np.empty((len(files), 256, 256, 3), np.uint8)
        for i, file in enumerate(files):
            picture = PIL.Image.open(io.BytesIO(file))
            picture.load()
            found[i] = np.asarray(picture)
        return found

    plain = fields.Image("image", size=256, channels=3, mean=(), std=())
    scaled = fields.Image("image", size=256, channels=3, mean=(128.0,) * 3, std=(60.0,) * 3)
    late = dataclasses.replace(scaled, late=True)
    ways = {
        "alone": alone,
        "uint8": lambda: plain.batch([plain.read(row) for row in rows]),
        "to_be_scaled_by_the_step": lambda: late.batch([late.read(row) for row in rows]),
        "float32": lambda: scaled.batch([scaled.read(row) for row in rows]),
    }
    found = turns(ways)
    for name in list(ways)[1:]:
        shares = [alone / own for alone, own in zip(found["alone"], found[name], strict=True)]
        share = statistics.median(shares)
        low, high = np.quantile(shares, (0.25, 0.75))
        facts = {
            "share_of_decoder_speed": round(share, 3),
            "quartiles": [round(float(low), 3), round(float(high), 3)],
            "pictures_per_second_and_core": round(len(files) / statistics.median(found[name])),
        }
        yield Figure(f"jpeg_path_{name}", 1 / share, "times the decoder", 1 / 0.95, facts)


def stored() -> Iterator[Figure]:
    """Rows out of record files, at random: pictures 28 x 28 with a label, decoded when they were packed."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        records.pack(small(20_000), f"{folder}/out")
        packing_seconds = time.perf_counter() - begun
        data = datasets.Records(f"{folder}/out")
        examples = data.open(data.fit())
        order = examples.order(0)
        places = [np.arange(k * 512, (k + 1) * 512) for k in range(30)]
        seconds = statistics.median(cost(lambda own=own: examples.at(order(own))) for own in places)
        facts = {"rows_per_second": round(512 / seconds), "packed_rows_per_second": round(20_000 / packing_seconds)}
        yield Figure("record_row", seconds / 512 * 1e6, "microseconds", 0.0, facts)


def waited() -> Iterator[Figure]:
    """The share of a run that steps of 20 ms wait for their batch, which takes none of the processor's time itself."""
    data = small()
    pictures = [jpeg(224, seed) for seed in range(64)]
    cells = {"image": pictures * 8, "label": [i % 2 for i in range(512)]}
    columns = {"image": fields.Image("image", size=224, channels=3, mean=(), std=())}
    encoded = Rows(cells, columns)
    cases = {
        "arrays_1024": (data.open(data.fit()), 1024, 0),
        "jpeg_8_threads": (encoded.open(), 8, 0),
        "jpeg_8_processes": (encoded.open(), 8, 2),
    }
    for name, (examples, batch, workers) in cases.items():
        stream = pipeline.stream(examples, batch=batch, seed=0, workers=workers)
        next(stream)
        waits = []
        for _ in range(150):
            begun = time.perf_counter()
            next(stream)
            waits.append(time.perf_counter() - begun)
            time.sleep(STEP)
        stream.close()
        wait = sum(waits) / (sum(waits) + STEP * len(waits))
        facts = {"median_ms": round(1e3 * statistics.median(waits), 3), "batch": batch}
        yield Figure(f"data_wait_{name}", 100 * wait, "percent", 1.0, facts)


class Rows:
    """Encoded pictures in memory, decoded anew for every batch."""

    def __init__(self, cells: Mapping[str, list[Any]], inputs: Mapping[str, Any]):
        self._cells, self._inputs = cells, inputs

    def open(self) -> Any:
        from mmjax.data.examples import Examples
        from mmjax.data.schema import Schema
        from mmjax.data.sources import Source

        count = len(next(iter(self._cells.values())))
        rows = [Row({name: cells[i] for name, cells in self._cells.items()}, "rows", i) for i in range(count)]
        schema = Schema(self._inputs, {"label": fields.Class("label", names=("0", "1"))})
        return Examples(Source("rows", tuple(self._cells), rows), schema, cache_gb=0)


def small(rows: int = RECORDS) -> Any:
    """Pictures 28 x 28 with a label, as arrays in memory."""
    rng = np.random.default_rng(0)
    arrays = {"image": rng.integers(0, 256, (rows, 28, 28), np.uint8), "label": np.arange(rows) % 10}
    return datasets.Arrays.of(
        arrays, label="label", inputs={"image": fields.Image(size=28, channels=1, mean=(), std=())}
    )


def five(rng: np.random.Generator) -> datasets.Packed:
    """Pictures, sounds, texts, logs and videos of uneven length, 15 % of each absent, for rows of about 32 of them."""
    names = {"image": "patches", "sound": "samples", "text": "tokens", "log": "steps", "video": "frames"}
    words = np.array([f"w{i}" for i in range(50)])
    lengths = {
        "image": rng.integers(2, 9, (RAGGED, 2)),
        "sound": rng.integers(80, 1600, RAGGED),
        "text": np.minimum(rng.geometric(1 / 30, RAGGED) + 3, 200),
        "log": rng.integers(5, 60, RAGGED),
        "video": rng.integers(2, 17, RAGGED),
    }
    make: dict[str, Callable[[Any], Any]] = {
        "image": lambda n: np.zeros((2 * n[0], 2 * n[1], 1), np.uint8),
        "sound": lambda n: np.zeros(n, np.float32),
        "text": lambda n: " ".join(words[rng.integers(0, 50, n)]),
        "log": lambda n: np.zeros((n, 1), np.float32),
        "video": lambda n: np.zeros((n, 2, 2, 1), np.uint8),
    }
    here = rng.random((RAGGED, len(names))) > 0.15
    here[~here.any(axis=1), 2] = True
    cells = [
        {name: make[name](lengths[name][i]) if here[i, j] else None for j, name in enumerate(names)} | {"label": i % 2}
        for i in range(RAGGED)
    ]
    inputs = {
        "image": fields.Patches(patch=2, most=64, channels=1, mean=(), std=()),
        "sound": fields.Audio(rate=1000, seconds=1.6),
        "text": fields.Text(length=200),
        "log": fields.Sensor(length=60, mean=(0.0,), std=(1.0,)),
        "video": fields.Video(frames=16, size=2, channels=1, mean=(), std=()),
    }
    units = {name: (size.prod(axis=1) if size.ndim == 2 else size) for name, size in lengths.items()}
    align = {"sound": 20}
    room = {}
    for j, name in enumerate(names):
        step = align.get(name, 1)
        mean = (-(-units[name] // step) * here[:, j]).mean()
        room[name] = int(np.ceil(32 * mean)) * step
    return datasets.Packed(Given(cells, inputs), room, most=48, align=align)


class Given:
    """Rows in memory as a data set."""

    def __init__(self, cells: list[dict[str, Any]], inputs: Mapping[str, Any]):
        self._cells, self._inputs = cells, inputs

    def _source(self) -> Any:
        from mmjax.data.sources import Source

        rows = [Row(cells, "rows", i) for i, cells in enumerate(self._cells, start=1)]
        return Source("rows", tuple(self._cells[0]), rows)

    def fit(self) -> Any:
        from mmjax.data import schema

        return schema.fit(self._source(), inputs=self._inputs, targets={}, label="label")

    def open(self, schema: Any) -> Any:
        from mmjax.data.examples import Examples

        return Examples(self._source(), schema)


def jpeg(size: int, seed: int) -> bytes:
    """A picture of waves and noise, which takes as many bytes as a photograph."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = [np.sin(2 * np.pi * (rng.uniform(1, 8) * x + rng.uniform(1, 8) * y + rng.uniform())) for _ in range(3)]
    pixels = 128 + 80 * np.stack(waves, axis=-1) + rng.normal(0, 12, (size, size, 3))
    file = io.BytesIO()
    PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def cost(act: Callable[[], Any]) -> float:
    """Seconds of the processor."""
    begun = time.process_time()
    act()
    return time.process_time() - begun


def turns(ways: Mapping[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """The seconds of the processor that each way takes, one after the other, many times."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            seconds[name].append(cost(way))
    return seconds
