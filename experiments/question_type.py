"""What a clinical question asks for: presence, position, size, ...? Words, stems and stop words compared (VQA-RAD).

``mmjax train experiments/question_type.py`` trains the best of four; ``python experiments/question_type.py`` all four.
"""

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, tokenizers, transforms
from mmjax.train import AdamW, Evaluator, Optim, Run

# A type that training never gives is a class of its own, which no model can have learned: an honest miss.
TARGETS = {"question_type": fields.Class(other="(never in training)")}


def part(path: str, stem: str, stop: str, **options) -> datasets.Manifest:
    """The questions of a file, cut into words and, beside them, into byte pairs, which know the parts of rare words."""
    inputs = {
        "words": fields.Text("question", tokenizer=tokenizers.Words(stem=stem, stop=stop), length=24),
        "pieces": fields.Text("question", tokenizer=tokenizers.BytePairs(limit=1_000), length=40),
    }
    return datasets.Manifest(path, inputs=inputs, targets=TARGETS, **options)


def config(stem: str = "english", stop: str = "") -> Experiment:
    """Two bags, of words and of pieces: no order, no layers."""
    augment = tuple(transforms.DropTokens(name, probability=0.1) for name in ("words", "pieces"))
    bag = {"width": 128, "depth": 0, "positions": False, "dropout": 0.7}
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
        objectives={"question_type": objectives.CrossEntropy("question_type")},
        evaluators={"val": Evaluator(part("vqa_rad/val.jsonl", stem, stop, batch=167))},
        optim=Optim(lr=1e-2, rule=AdamW(decay=0.3), average=0.99),
        run=Run(steps=800),
    )


if __name__ == "__main__":
    for stem, stop in (("", ""), ("english", ""), ("", "english"), ("english", "english")):
        found = mmjax.train(config(stem, stop), quiet=True).evaluations["val"]["heads"]["question_type"]["accuracy"]
        name = f"{'stems' if stem else 'words'}{', no stop words' if stop else ''}"
        print(f"{name:<22}{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})", flush=True)
