"""Labels for one row in a hundred: what do the 9,900 other pairs teach about a digit, which nobody named?

``mmjax train experiments/clip_digits.py --workdir runs/clip_digits`` first, which learns from no label; then ``mmjax
train experiments/semi_av_digits.py`` begins with its encoders. ``python experiments/semi_av_digits.py`` does both, and
puts supervision alone, frozen encoders and encoders that learned nothing beside it, row by row.
"""

import dataclasses
import sys
from pathlib import Path

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, metrics, objectives, transforms
from mmjax.train import Evaluator, Optim, Run, seeds
from mmjax.train.prepare import prepare

INPUTS = {"image": fields.Image(size=28, channels=1), "audio": fields.Audio(rate=8_000, seconds=1.0)}
PAIRS = Path("runs/clip_digits")
SEEN = {"written": ("image",), "spoken": ("audio",), "both": ("image", "audio")}
FROZEN = ("^encoders_",)

AUGMENT = (
    transforms.Affine("image", degrees=12, shift=0.08, scale=0.12),
    transforms.Shift("audio", fraction=0.1),
    transforms.Gain("audio", decibels=6),
    transforms.Noise("audio", snr=(10.0, 40.0)),
)


def part(path: str, **options) -> datasets.Manifest:
    """Rows of a written and the same digit spoken."""
    return datasets.Manifest(path, label="label", inputs=INPUTS, **options)


def config() -> Experiment:
    """100 labelled rows of 10,000, ten of each digit, dealt by the fold's seed; encoders of clip_digits.py, frozen."""
    labelled = datasets.Fold(100, held_out=True, evenly="label", seed=0)
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=64, depth=1, patch=8, convolutions=3, channels=128),
                "audio": encoders.Audio(width=64, depth=1, rate=8_000, mels=40, hop=0.02, convolutions=0),
            },
            fusion=fusion.Late(),
            heads={"label": heads.Classify(classes=10)},
        ),
        data=part("av_digits/train.csv", batch=50, augment=AUGMENT, fold=labelled),
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={"val": Evaluator(part("av_digits/val.csv", batch=200), subsets=True)},
        optim=Optim(lr=1e-2, warmup=50, average=0.99, frozen=FROZEN),
        run=Run(steps=600, log_every=50),
        modality_dropout=0.6,
        init_from=str(PAIRS),
    )


def variants() -> dict[str, Experiment]:
    """What is measured on the same rows: labels alone, as well as they could be made to, and three others."""
    own = config()
    dropped = {name: encoder.clone(dropout=0.2) for name, encoder in own.model.encoders.items()}
    learning = Optim(lr=1e-3, warmup=50, average=0.99)
    tuned = dataclasses.replace(learning, rates={"^encoders_": 0.1})
    return {
        "labels alone": dataclasses.replace(
            own, model=own.model.clone(encoders=dropped), optim=learning, run=Run(steps=1_200), init_from=""
        ),
        "pairs, frozen": own,
        "untrained, frozen": dataclasses.replace(own, init_from=""),
        "pairs, tuned": dataclasses.replace(own, optim=tuned),
    }


def said(experiment: Experiment) -> dict[str, metrics.Rows]:
    """What a trained model says of every row, from a modality or both."""
    weights, evaluation = mmjax.train(experiment, quiet=True).weights, prepare(experiment).evaluations["val"]
    answers = seeds.answers(evaluation, [weights], list(SEEN.values()))
    return {name: rows[0]["label"] for name, rows in zip(SEEN, answers.rows, strict=True)}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import clip_digits

    mmjax.train(clip_digits.config(), workdir=PAIRS, quiet=True)  # once: after that it is there
    measure, alone = metrics.Classification("label"), {}
    for name, experiment in variants().items():
        rows = said(experiment)
        alone = alone or rows
        for seen in SEEN:
            more = metrics.paired(measure, alone[seen], rows[seen])["accuracy"]
            figure = metrics.percent(measure.compute(rows[seen])["accuracy"])
            print(f"{name}: {seen} {figure}, more than labels alone {metrics.percent(more)}", flush=True)
