"""Spoken and written digits: does hearing help seeing?"""

from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

INPUTS = {"image": fields.Image(size=28, channels=1), "audio": fields.Audio(rate=8_000, seconds=1.0)}

AUGMENT = (
    transforms.Affine("image", degrees=12, shift=0.08, scale=0.12),
    transforms.Shift("audio", fraction=0.1),
    transforms.Gain("audio", decibels=6),
)


def config() -> Experiment:
    """One model of a written digit and the same digit spoken, that answers from either or both."""
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=64, depth=1, patch=8, convolutions=3, channels=128),
                "audio": encoders.Audio(width=64, depth=1, rate=8_000, mels=40, hop=0.02, convolutions=0),
            },
            fusion=fusion.Bottleneck(width=64, depth=1, bottlenecks=4),
            heads={"label": heads.Classify(classes=10)},
        ),
        data=datasets.Manifest("av_digits/train.csv", label="label", inputs=INPUTS, batch=64, augment=AUGMENT),
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={
            "val": Evaluator(
                datasets.Manifest("av_digits/val.csv", label="label", inputs=INPUTS, batch=200), subsets=True
            )
        },
        optim=Optim(lr=2e-3, warmup=100, average=0.995),
        run=Run(steps=4_000, log_every=50),
        modality_dropout=0.6,
    )
