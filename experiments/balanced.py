"""Digits written, dialled and typed, each held to tell them by itself as well. Needs no download."""

from mmjax import Experiment, Multimodal, datasets, encoders, fusion, heads, objectives
from mmjax.train import Evaluator, Optim, Pareto, Run

MODALITIES = ("audio", "image", "text")


def config() -> Experiment:
    """A head and a loss for all together and for each modality alone, their gradients without conflict."""
    alone = {f"label_{name}": heads.Classify(classes=10, stream=name) for name in MODALITIES}
    losses = {
        name: objectives.CrossEntropy("label", head=f"label_{name}", stream=name, smoothing=0.1) for name in MODALITIES
    }
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=48, depth=1, patch=2, convolutions=1),
                "audio": encoders.Audio(
                    width=48, depth=1, rate=8_000, mels=40, window=0.064, hop=0.016, convolutions=2, channels=16
                ),
                "text": encoders.Text(width=48, depth=1, vocabulary=64),
            },
            fusion=fusion.Late(width=48),
            heads={"label": heads.Classify(classes=10)} | alone,
        ),
        data=datasets.Digits("train", batch=64),
        objectives={"label": objectives.CrossEntropy("label", smoothing=0.1)} | losses,
        evaluators={"test": Evaluator(datasets.Digits("test", batch=180))},
        optim=Optim(lr=2e-3, warmup=50),
        run=Run(steps=500, log_every=50),
        balance=Pareto(),
    )
