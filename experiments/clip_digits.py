"""Written and spoken digits that belong together: what does that alone teach? No label is learned from.

``mmjax train experiments/clip_digits.py`` trains and measures; ``python experiments/clip_digits.py`` puts the probes of
the same encoders untrained beside it.
"""

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, metrics, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

INPUTS = {"image": fields.Image(size=28, channels=1), "audio": fields.Audio(rate=8_000, seconds=1.0)}

AUGMENT = (
    transforms.Affine("image", degrees=12, shift=0.08, scale=0.12),
    transforms.Shift("audio", fraction=0.1),
    transforms.Gain("audio", decibels=6),
    transforms.Noise("audio", snr=(10.0, 40.0)),
)
# Retrieval asks for the right digit, zero-shot classification for the digit of a mean of recordings; probes are of
# what the encoders give, before the space that both share.
MEASURES = {
    "written to spoken": metrics.Retrieval("image", "audio", target="label"),
    "written, zero-shot": metrics.Probe("label", "image", metrics.Prototypes(), shared=True, by="audio"),
    "spoken, zero-shot": metrics.Probe("label", "audio", metrics.Prototypes(), shared=True, by="image"),
    "written, neighbours": metrics.Probe("label", "image", metrics.Neighbours()),
    "written, linear": metrics.Probe("label", "image"),
    "spoken, linear": metrics.Probe("label", "audio"),
    "written, few shots": metrics.Probe("label", "image", metrics.FewShot(shots=10)),
    "spoken, few shots": metrics.Probe("label", "audio", metrics.FewShot(shots=10)),
}


def part(path: str, **options) -> datasets.Manifest:
    """Rows of a written and the same digit spoken."""
    return datasets.Manifest(path, label="label", inputs=INPUTS, **options)


def config() -> Experiment:
    """Two towers that find each other among 128 rows; the label is there to measure with."""
    fifth = datasets.Fold(5, held_out=True, evenly="label")
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=64, depth=1, patch=8, convolutions=3, channels=128),
                "audio": encoders.Audio(width=64, depth=1, rate=8_000, mels=40, hop=0.02, convolutions=0),
            },
            fusion=fusion.Towers(width=32),
            heads={"scale": heads.Temperature()},
        ),
        data=part("av_digits/train.csv", batch=128, augment=AUGMENT),
        objectives={"pairs": objectives.Contrastive()},
        evaluators={
            "val": Evaluator(
                part("av_digits/val.csv", batch=200),
                metrics=MEASURES,
                reference=part("av_digits/train.csv", batch=200, fold=fifth),
            )
        },
        optim=Optim(lr=2e-3, warmup=100, average=0.995),
        run=Run(steps=1_200, log_every=50),
    )


if __name__ == "__main__":
    for name, experiment in (("trained", config()), ("untrained", config().untrained())):
        found = mmjax.train(experiment, quiet=True).evaluations["val"]["heads"]
        for head, figures in found.items():
            first = figures["recall_at_1" if "recall_at_1" in figures else "accuracy"]
            print(f"{name}: {head} {metrics.percent(first)}", flush=True)
