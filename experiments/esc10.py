"""Environmental sounds: rain or sea, dog or rooster, from 240 recordings of five seconds (ESC-10, Piczak, 2015)."""

from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

INPUTS = {"audio": fields.Audio(rate=16_000, seconds=5.0)}
AUGMENT = (transforms.Shift("audio", fraction=0.5, wrap=True), transforms.Gain("audio", decibels=6))


def config() -> Experiment:
    """A sound's texture is how much each of its features changes: convolutions, then a standard deviation over time."""
    audio = encoders.Audio(
        rate=16_000,
        mels=64,
        window=0.04,
        hop=0.02,
        width=64,
        depth=0,
        convolutions=3,
        channels=64,
        positions="none",
    )
    return Experiment(
        model=Multimodal(
            encoders={"audio": audio},
            fusion=fusion.Late(width=64, spread=True),
            heads={"label": heads.Classify(classes=10, dropout=0.2)},
        ),
        data=datasets.Manifest("esc10/train.csv", label="label", inputs=INPUTS, batch=32, augment=AUGMENT),
        objectives={"label": objectives.CrossEntropy("label", smoothing=0.1)},
        evaluators={"fold 4": Evaluator(datasets.Manifest("esc10/val.csv", label="label", inputs=INPUTS, batch=40))},
        optim=Optim(lr=2e-3, warmup=40, average=0.98),
        run=Run(steps=400, log_every=25),
    )
