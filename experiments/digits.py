"""Digits written, dialled and typed: what does each way of telling them add? Needs no download."""

from mmjax import Experiment, Multimodal, datasets, encoders, fusion, heads, objectives
from mmjax.train import Evaluator, Optim, Run


def config() -> Experiment:
    """One model of a blurred picture, a keypad tone in noise and a misspelt name, that answers from any of them."""
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=48, depth=1, patch=2, convolutions=1),
                "audio": encoders.Audio(
                    width=48, depth=1, rate=8_000, mels=40, window=0.064, hop=0.016, convolutions=2, channels=16
                ),
                "text": encoders.Text(width=48, depth=1, vocabulary=64),
            },
            fusion=fusion.Bottleneck(width=48, depth=1, bottlenecks=4),
            heads={"label": heads.Classify(classes=10)},
        ),
        data=datasets.Digits("train", batch=64),
        objectives={"label": objectives.CrossEntropy("label", smoothing=0.1)},
        evaluators={"test": Evaluator(datasets.Digits("test", batch=180), subsets=True)},
        optim=Optim(lr=2e-3, warmup=50),
        run=Run(steps=500, log_every=50),
        modality_dropout=0.3,
    )
