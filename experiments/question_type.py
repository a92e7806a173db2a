"""What a clinical question asks for: presence, position, size, ...? Words, stems and stop words compared (VQA-RAD).

``mmjax train experiments/question_type.py`` trains the best of four; ``python experiments/question_type.py`` all four,
each from six seeds, since one seed moves the result by more than stems do.
"""

import dataclasses

import numpy as np

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, tokenizers, transforms
from mmjax.train import AdamW, Evaluator, Optim, Run

# A type that training never gives is a class of its own, which no model can have learned: an honest miss.
TARGETS = {"question_type": fields.Class(other="(never in training)")}


def part(path: str, stem: str, stop: str, **options) -> datasets.Manifest:
    """The questions of a file, cut into words and, beside them, into byte pairs, which know the parts of rare words."""
    inputs = {
        "words": fields.Text("question", tokenizer=tokenizers.Words(stem=stem, stop=stop), length=24),
        "pieces": fields.Text("question", tokenizer=tokenizers.BytePairs(limit=1_000, lower=True), length=40),
    }
    return datasets.Manifest(path, inputs=inputs, targets=TARGETS, **options)


def config(stem: str = "english", stop: str = "") -> Experiment:
    """Two bags, of words and of pieces: no order, no layers."""
    augment = tuple(transforms.DropTokens(name, probability=0.2) for name in ("words", "pieces"))
    bag = {"width": 128, "depth": 0, "positions": "none", "dropout": 0.7}
    return Experiment(
        model=Multimodal(
            encoders={
                "words": encoders.Text(vocabulary=1_200, **bag),
                "pieces": encoders.Text(vocabulary=1_300, **bag),
            },
            fusion=fusion.Late(width=128),
            heads={"question_type": heads.Classify(classes=26, dropout=0.3)},
        ),
        data=part("vqa_rad/train.jsonl", stem, stop, batch=32, augment=augment),
        objectives={"question_type": objectives.CrossEntropy("question_type", smoothing=0.1)},
        evaluators={"val": Evaluator(part("vqa_rad/val.jsonl", stem, stop, batch=167))},
        optim=Optim(lr=5e-3, rule=AdamW(decay=0.3), average=0.995),
        run=Run(steps=1_600, seed=1),
    )


def accuracy(experiment: Experiment, seed: int) -> float:
    """On the validation questions, of one seed."""
    seeded = dataclasses.replace(experiment, run=dataclasses.replace(experiment.run, seed=seed))
    return mmjax.train(seeded, quiet=True).evaluations["val"]["heads"]["question_type"]["accuracy"]["value"]


if __name__ == "__main__":
    for stem, stop in (("", ""), ("english", ""), ("", "english"), ("english", "english")):
        found = [accuracy(config(stem, stop), seed) for seed in range(6)]
        name = f"{'stems' if stem else 'words'}{', no stop words' if stop else ''}"
        print(f"{name:<22}{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f} over six seeds)", flush=True)
