"""Handwritten digits, crops of which are to be known as of one picture: what does that teach? No label is learned from.

``mmjax train experiments/dino_digits.py`` trains and measures; ``python experiments/dino_digits.py`` puts beside it the
probes of the same encoder untrained, and what the same comes to that learns from all labels.
"""

import dataclasses

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, metrics, objectives, views
from mmjax.train import Evaluator, Optim, Run

LOOK = (views.Light(0.2, 0.4), views.Noise(0.1))
LARGE, SMALL = {"image": (views.Crop(0.4, 1.0), *LOOK)}, {"image": (views.Crop(0.15, 0.4), *LOOK)}


def part(path: str, **options) -> datasets.Manifest:
    """Rows of a written digit; the label is there to measure with."""
    return datasets.Manifest(path, label="label", inputs={"image": fields.Image(size=28, channels=1)}, **options)


def config() -> Experiment:
    """A small transformer over convolutions, told by its own average which of 256 prototypes a picture is like."""
    fifth = datasets.Fold(5, held_out=True, evenly="label")
    return Experiment(
        model=Multimodal(
            encoders={"image": encoders.Image(width=64, depth=1, patch=8, convolutions=3, channels=128)},
            fusion=fusion.Towers(width=64, bare=("image",), unit=False),
            heads={"teacher": heads.Prototypes(256)},
        ),
        data=part("av_digits/train.csv", batch=128),
        objectives={"teacher": objectives.Dino()},
        evaluators={
            "val": Evaluator(
                part("av_digits/val.csv", batch=200),
                metrics={
                    "linear": metrics.Probe("label", "image"),
                    "neighbours": metrics.Probe("label", "image", metrics.Neighbours()),
                },
                reference=part("av_digits/train.csv", batch=200, fold=fifth),
            )
        },
        optim=Optim(lr=2e-3, warmup=50, average=0.99),
        run=Run(steps=500),
        views=views.Dino(LARGE, SMALL, locals=2),
    )


def taught() -> Experiment:
    """The same encoder, which begins with nothing and learns from all labels."""
    own = config()
    return dataclasses.replace(
        own,
        model=own.model.clone(fusion=fusion.Late(width=64), heads={"label": heads.Classify(10)}),
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={"val": Evaluator(part("av_digits/val.csv", batch=200))},
        views=None,
    )


if __name__ == "__main__":
    runs = {"trained": config(), "untrained": config().untrained(), "taught by all labels": taught()}
    for name, experiment in runs.items():
        for head, found in mmjax.train(experiment, quiet=True).evaluations["val"]["heads"].items():
            print(f"{name}: {head} {metrics.percent(found['accuracy'])}", flush=True)
