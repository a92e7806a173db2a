"""What written and spoken digits have in common, learned without labels and without wrong pairs to be told from.

``mmjax train experiments/vicreg_av.py`` trains and measures; ``python experiments/vicreg_av.py`` puts the probes of the
same encoders untrained beside it.
"""

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, metrics, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

INPUTS = {"image": fields.Image(size=28, channels=1), "audio": fields.Audio(rate=8_000, seconds=1.0)}

AUGMENT = (
    transforms.Affine("image", degrees=12, shift=0.08, scale=0.12),
    transforms.Shift("audio", fraction=0.1),
    transforms.Gain("audio", decibels=6),
    transforms.Noise("audio", snr=(10.0, 40.0)),
)
# Probes are of what the encoders give, before the expanders.
MEASURES = {
    "written to spoken": metrics.Retrieval("image", "audio", target="label"),
    "written, linear": metrics.Probe("label", "image"),
    "spoken, linear": metrics.Probe("label", "audio"),
    "written, neighbours": metrics.Probe("label", "image", metrics.Neighbours()),
    "spoken, neighbours": metrics.Probe("label", "audio", metrics.Neighbours()),
}


def part(path: str, **options) -> datasets.Manifest:
    """Rows of a written and the same digit spoken."""
    return datasets.Manifest(path, label="label", inputs=INPUTS, **options)


def config() -> Experiment:
    """Picture and sound are the two views of VICReg, each through an encoder and an expander of its own."""
    fifth = datasets.Fold(5, held_out=True, evenly="label")
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=64, depth=1, patch=8, convolutions=3, channels=128),
                "audio": encoders.Audio(width=64, depth=1, rate=8_000, mels=40, hop=0.02, convolutions=0),
            },
            fusion=fusion.Towers(width=128, hidden=(128,), unit=False),
            heads={},
        ),
        data=part("av_digits/train.csv", batch=128, augment=AUGMENT),
        objectives={"alike": objectives.VICReg()},
        evaluators={
            "val": Evaluator(
                part("av_digits/val.csv", batch=200),
                metrics=MEASURES,
                reference=part("av_digits/train.csv", batch=200, fold=fifth),
            )
        },
        optim=Optim(lr=2e-3, warmup=100, average=0.995),
        run=Run(steps=1_000, log_every=50),
    )


if __name__ == "__main__":
    for name, experiment in (("trained", config()), ("untrained", config().untrained())):
        found = mmjax.train(experiment, quiet=True).evaluations["val"]["heads"]
        for head, figures in found.items():
            first = figures["recall_at_1" if "recall_at_1" in figures else "accuracy"]
            print(f"{name}: {head} {metrics.percent(first)}", flush=True)
