"""The sum of a written and a spoken digit, modulo 10: neither tells anything alone, so fusions differ."""

from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

INPUTS = {"image": fields.Image(size=28, channels=1), "audio": fields.Audio(rate=8_000, seconds=1.0)}

AUGMENT = (
    transforms.Affine("image", degrees=12, shift=0.08, scale=0.12),
    transforms.Shift("audio", fraction=0.1),
    transforms.Gain("audio", decibels=6),
)


def part(path: str, **options) -> datasets.Manifest:
    """Pairs of a picture and a recording."""
    return datasets.Manifest(path, label="sum", inputs=INPUTS, **options)


def config() -> Experiment:
    """Two small encoders; only a fusion that multiplies can bring their digits together."""
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=64, depth=1, patch=8, convolutions=3, channels=64),
                "audio": encoders.Audio(width=64, depth=1, rate=8_000, mels=40, hop=0.02, convolutions=0),
            },
            fusion=fusion.Multiplicative(width=64),
            heads={"sum": heads.Classify(classes=10)},
        ),
        data=part("av_digits/sum_train.csv", batch=64, augment=AUGMENT),
        objectives={"sum": objectives.CrossEntropy("sum")},
        evaluators={"val": Evaluator(part("av_digits/sum_val.csv", batch=200), subsets=True)},
        optim=Optim(lr=2e-3, warmup=100, average=0.995),
        run=Run(steps=4_000, log_every=50),
    )
