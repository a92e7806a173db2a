"""Spoken digits from a speaker who was never heard: how much of 99 % on known voices is left?

``mmjax train experiments/unheard_speaker.py`` leaves one speaker out; ``python experiments/unheard_speaker.py`` leaves
out each of the six in turn and prints a line for each.
"""

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
INPUTS = {"audio": fields.Audio(rate=8_000, seconds=1.0)}


def part(path: str, speakers: tuple[str, ...], **options) -> datasets.Manifest:
    """The rows of these speakers."""
    return datasets.Manifest(path, label="label", inputs=INPUTS, where={"speaker": speakers}, **options)


def config(unheard: str = "theo") -> Experiment:
    """Hearing alone, trained on five speakers; measured on the sixth and, beside it, on new recordings of the five."""
    known = tuple(speaker for speaker in SPEAKERS if speaker != unheard)
    augment = (
        transforms.Shift("audio", fraction=0.1),
        transforms.Gain("audio", decibels=6),
        transforms.Speed("audio", rate=0.2),
        transforms.Noise("audio", snr=(10.0, 40.0)),
    )
    return Experiment(
        model=Multimodal(
            encoders={"audio": encoders.Audio(width=64, depth=2, rate=8_000, mels=40, hop=0.02, convolutions=0)},
            fusion=fusion.Late(width=64),
            heads={"label": heads.Classify(classes=10)},
        ),
        data=part("av_digits/train.csv", known, batch=64, augment=augment),
        objectives={"label": objectives.CrossEntropy("label", smoothing=0.1)},
        evaluators={
            "unheard": Evaluator(part("av_digits/val.csv", (unheard,), batch=200)),
            "known": Evaluator(part("av_digits/val.csv", known, batch=200)),
        },
        optim=Optim(lr=1e-3, warmup=100, average=0.995),
        run=Run(steps=800, log_every=100),
    )


if __name__ == "__main__":
    for speaker in SPEAKERS:
        found = mmjax.train(config(speaker), quiet=True).evaluations
        figures = {name: evaluation["heads"]["label"]["accuracy"] for name, evaluation in found.items()}
        print(speaker, {name: f"{f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})" for name, f in figures.items()})
