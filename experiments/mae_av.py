"""Written and spoken digits, three quarters of each hidden: what does guessing both from what is left teach?

No label is learned from.

``mmjax train experiments/mae_av.py`` trains and measures; ``python experiments/mae_av.py`` puts the same encoders
untrained, and a masked autoencoder of sounds alone, beside it.
"""

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, metrics, objectives, views
from mmjax.train import Evaluator, Optim, Run

PATCH, SQUARE = 4, 8  # pixels; bands, and frames of 10 ms
HEARD = {"rate": 8_000, "mels": 40}
INPUTS = {"image": fields.Image(size=28, channels=1), "audio": fields.Audio(rate=8_000, seconds=1.0)}
ENCODERS = {
    "image": encoders.Image(width=64, depth=2, patch=PATCH, convolutions=0),
    "audio": encoders.Spectrogram(
        **HEARD, width=64, depth=2, patch=SQUARE, stride=SQUARE, class_tokens=0, positions="sinusoidal"
    ),
}
NUMBERS = {"image": PATCH * PATCH, "audio": SQUARE * SQUARE}
CUTS = {"image": views.Patches(PATCH), "audio": views.Squares(SQUARE, **HEARD)}


def part(path: str, inputs: tuple[str, ...], **options) -> datasets.Manifest:
    """Rows of a written and the same digit spoken, or one of them; the label is there to measure with."""
    return datasets.Manifest(path, label="label", inputs={name: INPUTS[name] for name in inputs}, **options)


def config(inputs: tuple[str, ...] = ("image", "audio")) -> Experiment:
    """An encoder for each, a layer that joins what they have seen, and decoders that know of this alone.

    What is hidden of a sound is told by which digit the picture shows, and the other way round: so encoders learn more
    of digits here than from guessing their own modality.
    """
    measures = {name: metrics.Probe("label", name) for name in inputs}
    fifth = datasets.Fold(5, held_out=True, evenly="label")
    return Experiment(
        model=Multimodal(
            encoders={name: ENCODERS[name] for name in inputs},
            fusion=fusion.Joint(width=64, depth=1),
            heads={name: heads.Reconstruct(NUMBERS[name], stream=name, listens=True) for name in inputs},
        ),
        data=part("av_digits/train.csv", inputs, batch=128),
        objectives={name: objectives.Reconstruction(name, normed=False) for name in inputs},
        evaluators={
            "val": Evaluator(
                part("av_digits/val.csv", inputs, batch=200),
                metrics={**measures, "joined": metrics.Probe("label", "")},
                reference=part("av_digits/train.csv", inputs, batch=200, fold=fifth),
            )
        },
        optim=Optim(lr=2e-3, warmup=100),
        run=Run(steps=700),
        views=views.Hide({name: CUTS[name] for name in inputs}),
    )


if __name__ == "__main__":
    runs = {"trained": config(), "untrained": config().untrained(), "sounds alone": config(("audio",))}
    for name, experiment in runs.items():
        for head, found in mmjax.train(experiment, quiet=True).evaluations["val"]["heads"].items():
            print(f"{name}: {head} {metrics.percent(found['accuracy'])}", flush=True)
