"""A radiograph, a clinical question and the organ: closed questions, most of them yes or no (VQA-RAD)."""

from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, tokenizers, transforms
from mmjax.train import AdamW, Evaluator, Optim, Run

INPUTS = {
    "image": fields.Image(size=64, channels=1, background=0),
    "words": fields.Text("question", tokenizer=tokenizers.Words(stem="english", limit=1_000), length=24),
    "pieces": fields.Text("question", tokenizer=tokenizers.BytePairs(limit=1_000, lower=True), length=40),
    "patient": fields.Table(categories=("organ",)),
}
# An answer that training never gives is a class of its own, which no model can have learned: an honest miss.
TARGETS = {"answer": fields.Class(other="(never in training)")}


def part(path: str, **options) -> datasets.Manifest:
    """The closed questions of a file."""
    return datasets.Manifest(path, inputs=INPUTS, targets=TARGETS, where={"answer_type": "closed"}, **options)


def config() -> Experiment:
    """Late fusion: 1,619 questions about 282 radiographs teach more words than pictures.

    The question is read twice, in stems and in byte pairs, which know the parts of rare words.
    """
    augment = (
        transforms.Affine("image", degrees=5, shift=0.05, scale=0.1),
        transforms.Light("image"),
        transforms.DropTokens("words", probability=0.2),
        transforms.DropTokens("pieces", probability=0.2),
    )
    bag = {"width": 64, "depth": 0, "positions": "none", "dropout": 0.7}
    return Experiment(
        model=Multimodal(
            encoders={
                "image": encoders.Image(width=64, depth=0, patch=8, convolutions=3, channels=32, dropout=0.3),
                "words": encoders.Text(vocabulary=1_002, **bag),
                "pieces": encoders.Text(vocabulary=1_300, **bag),
                "patient": encoders.Table(cardinalities=(4,), width=64, depth=0),
            },
            fusion=fusion.Late(width=64),
            heads={"answer": heads.Classify(classes=55, dropout=0.3)},
        ),
        data=part("vqa_rad/train.jsonl", batch=32, augment=augment),
        objectives={"answer": objectives.CrossEntropy("answer", smoothing=0.1)},
        evaluators={"val": Evaluator(part("vqa_rad/val.jsonl", batch=68), subsets=True)},
        optim=Optim(lr=5e-3, warmup=50, average=0.98, rule=AdamW(decay=0.3)),
        run=Run(steps=1_600, log_every=50),
        modality_dropout=0.3,
    )
