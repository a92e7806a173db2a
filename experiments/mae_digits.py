"""Handwritten digits, three quarters of each hidden: what does guessing them teach? No label is learned from.

``mmjax train experiments/mae_digits.py`` trains and measures; ``python experiments/mae_digits.py`` puts beside it the
probe of the same encoder untrained, and what the same comes to that learns from all labels.
"""

import dataclasses

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, metrics, objectives, views
from mmjax.train import Evaluator, Optim, Run

PATCH = 4


def part(path: str, **options) -> datasets.Manifest:
    """Rows of a written digit; the label is there to measure with."""
    return datasets.Manifest(path, label="label", inputs={"image": fields.Image(size=28, channels=1)}, **options)


def config() -> Experiment:
    """A vision transformer of three layers that sees 13 of 49 patches, and a decoder of one, half as wide."""
    fifth = datasets.Fold(5, held_out=True, evenly="label")
    return Experiment(
        model=Multimodal(
            encoders={"image": encoders.Image(width=64, depth=3, patch=PATCH, convolutions=0)},
            fusion=fusion.Towers(width=64, bare=("image",), unit=False),
            heads={"image": heads.Reconstruct(PATCH * PATCH, stream="image")},
        ),
        data=part("av_digits/train.csv", batch=128),
        objectives={"image": objectives.Reconstruction("image", normed=False)},
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
        optim=Optim(lr=2e-3, warmup=100),
        run=Run(steps=1_000),
        views=views.Hide({"image": views.Patches(PATCH)}),
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
