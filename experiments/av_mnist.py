"""AV-MNIST: written digits of which little is left, and the same digits spoken in noise.

    python ../shared/data/make_av_mnist.py ../shared/data/av_digits av_mnist.npz train val

makes the arrays (34 s), after the benchmark of CentralNet (Vielzeuf et al., 2018, https://arxiv.org/abs/1808.07275).
"""

from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

# The spectrograms stand bands first. A band means something else than its neighbour, so bands are channels.
INPUTS = {"image": fields.Image(size=28, channels=1), "audio": fields.Sensor(channels_first=True)}


def part(split: str, **options) -> datasets.Arrays:
    """One split of the arrays."""
    return datasets.Arrays("av_mnist.npz", prefix=f"{split}_", inputs=INPUTS, label="label", **options)


def config() -> Experiment:
    """Each modality alone is weak; they err independently, so two are far better than one."""
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.LeNet(width=64),
                "audio": encoders.Series(channels=48, stages=(1, 1)),
            },
            fusion=fusion.Late(width=64),
            heads={"label": heads.Classify(classes=10, dropout=0.5)},
        ),
        data=part("train", batch=64, augment=(transforms.Shift("audio", fraction=0.15),)),
        objectives={"label": objectives.CrossEntropy("label", smoothing=0.1)},
        evaluators={"val": Evaluator(part("val", batch=200), subsets=True)},
        optim=Optim(lr=3e-3, warmup=100, average=0.995),
        run=Run(steps=3_000, log_every=50),
        modality_dropout=0.3,
    )
