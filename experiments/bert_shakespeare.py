"""Plays of Shakespeare with letters hidden: what stands there? Learned as BERT learns its masked words.

By letters, as `shakespeare_char.py`: each of them comes often enough in so short a text to be learned in minutes, while
of a thousand byte pairs most do not. ``mmjax train experiments/bert_shakespeare.py`` trains and measures;
``python experiments/bert_shakespeare.py`` puts the same model untrained beside it, and tables of which letter training
saw between which neighbours.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator

import numpy as np

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fusion, heads, metrics, objectives, tokenizers, views
from mmjax.core import Outputs, Tokens
from mmjax.train import AdamW, Evaluator, Optim, Run
from mmjax.train.prepare import prepare

PATH, LETTERS, LENGTH = "shakespeare/input.txt", tokenizers.Characters(), 64
SPLIT = 0.9  # the customary one: the last tenth is for validation
KNOWN = 67  # characters of the training text, padding and what is unknown; the id after them hides one
MASKED = views.MaskedWords(mask=KNOWN, words=KNOWN, least=2)


def config() -> Experiment:
    """Four layers, 128 wide, that see 64 characters at once, 15 of 100 hidden; where it is measured, all of these."""
    train = datasets.Texts(PATH, LETTERS, length=LENGTH, batch=32, part=(0, SPLIT), stride=1)
    val = datasets.Texts(PATH, LETTERS, length=LENGTH, batch=64, part=(SPLIT, 1))
    return Experiment(
        model=Multimodal(
            encoders={"text": encoders.Text(vocabulary=KNOWN + 1, positions="rotary", width=128, depth=4)},
            fusion=fusion.Towers(width=128, bare=("text",), unit=False),
            heads={"masked": heads.Words(KNOWN, stream="text")},
        ),
        data=train,
        objectives={"masked": objectives.CrossEntropy("masked")},
        evaluators={
            "val": Evaluator(
                val,
                metrics={"masked": metrics.Masked("masked")},
                views=dataclasses.replace(MASKED, ways=(1.0, 0.0)),
            )
        },
        optim=Optim(lr=2e-3, warmup=100, rule=AdamW(decay=0.1, b2=0.99)),
        run=Run(steps=1_000),
        views=MASKED,
    )


class Table:
    """How likely each letter is between the ``left`` before it and the ``right`` after it, as training text has them.

    Where a neighbour is hidden or missing, or a context was rarely seen, that of ``narrower`` counts, the more the more
    different letters stood there (Witten and Bell, 1991).
    """

    def __init__(self, ids: np.ndarray, left: int, right: int, narrower: "Table | None" = None):
        self._left, self._right, self._narrower = left, right, narrower
        self._seen: dict[tuple[int, ...], Counter[int]] = {}
        shifted = [ids[at : len(ids) - left - right + at] for at in range(left + right + 1)]
        letters = shifted.pop(left)
        for *around, letter in zip(*(each.tolist() for each in (*shifted, letters)), strict=True):
            self._seen.setdefault(tuple(around), Counter())[letter] += 1

    def __call__(self, row: np.ndarray, place: int) -> np.ndarray:
        """Probabilities of each of the letters."""
        found = np.full(KNOWN, 1 / KNOWN) if self._narrower is None else self._narrower(row, place)
        if place < self._left or place + self._right >= len(row):
            return found
        around = (*row[place - self._left : place], *row[place + 1 : place + 1 + self._right])
        counts = self._seen.get(tuple(map(int, around)), Counter())
        if not counts:
            return found
        found = found * len(counts)
        np.add.at(found, list(counts), list(counts.values()))
        return found / found.sum()


def figures() -> Iterator[tuple[str, dict]]:
    """What is told by the model, by itself untrained, and by the tables, at the same places."""
    trained = config()
    for name, experiment in (("trained", trained), ("untrained", trained.untrained())):
        yield name, mmjax.train(experiment, quiet=True).evaluations["val"]["heads"]["masked"]
    prepared = prepare(trained)
    evaluation, metric = prepared.evaluations["val"], metrics.Masked("masked")
    hide = evaluation.views
    assert hide is not None
    ids = prepared.schema.inputs["text"].tokenizer.encode("".join(trained.data.documents()))
    table, nothing = None, Tokens(np.zeros((1, 1, 1)), np.zeros((1, 1), bool))
    for left, right in ((0, 0), (1, 0), (1, 1), (2, 2)):
        table = Table(ids, left, right, table)
        rows = []
        for batch, numbers in evaluation.batches():
            seen = hide(None, batch, numbers)
            shown, asked = np.asarray(seen.inputs["text"].values), np.asarray(seen.targets["masked"].mask)
            said = np.zeros((*asked.shape, KNOWN), np.float32)
            for row, place in np.argwhere(asked):
                said[row, place] = np.log(table(shown[row], place))
            rows.append(metric(Outputs({}, nothing, {"masked": said}), seen))
        yield f"a table of {left} before and {right} after", metric.compute(metrics.gather(rows))


if __name__ == "__main__":
    for name, found in figures():
        print(
            f"{name}: {metrics.percent(found['accuracy'])} of {found['count']:,}, "
            f"loss {found['loss']['value']:.3f} ({found['loss']['low']:.3f} to {found['loss']['high']:.3f}); "
            f"the commonest {metrics.percent(found['majority'])}",
            flush=True,
        )
