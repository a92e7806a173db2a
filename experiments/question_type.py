"""What a clinical question asks for: presence, position, size, ...? Words, stems and stop words compared (VQA-RAD).

``mmjax train experiments/question_type.py`` trains the best of four; ``python experiments/question_type.py`` all four.
"""

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, tokenizers
from mmjax.train import AdamW, Evaluator, Optim, Run

# A type that training never gives is a class of its own, which no model can have learned: an honest miss.
TARGETS = {"question_type": fields.Class(other="(never in training)")}


def part(path: str, stem: str, stop: str, **options) -> datasets.Manifest:
    """The questions of a file, cut into words."""
    words = tokenizers.Words(stem=stem, stop=stop)
    return datasets.Manifest(
        path, inputs={"question": fields.Text(tokenizer=words, length=24)}, targets=TARGETS, **options
    )


def config(stem: str = "", stop: str = "") -> Experiment:
    """A bag of words: no order, no layers."""
    return Experiment(
        model=Multimodal(
            encoders={
                "question": encoders.Text(vocabulary=1_200, width=64, depth=0, positions=False),
            },
            fusion=fusion.Late(width=64),
            heads={"question_type": heads.Classify(classes=26)},
        ),
        data=part("vqa_rad/train.jsonl", stem, stop, batch=64),
        objectives={"question_type": objectives.CrossEntropy("question_type")},
        evaluators={"val": Evaluator(part("vqa_rad/val.jsonl", stem, stop, batch=167))},
        optim=Optim(lr=5e-3, warmup=50, average=0.99, rule=AdamW(decay=0.1)),
        run=Run(steps=800),
    )


if __name__ == "__main__":
    for stem, stop in (("", ""), ("english", ""), ("", "english"), ("english", "english")):
        found = mmjax.train(config(stem, stop), quiet=True).evaluations["val"]["heads"]["question_type"]["accuracy"]
        name = f"{'stems' if stem else 'words'}{', no stop words' if stop else ''}"
        print(f"{name:<22}{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})", flush=True)
