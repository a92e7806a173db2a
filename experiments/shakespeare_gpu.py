"""Plays of Shakespeare, letter by letter, within minutes of one accelerator."""

from mmjax import Experiment, datasets, objectives, tokenizers, zoo
from mmjax.train import AdamW, Evaluator, Optim, Run

PATH, LETTERS = "shakespeare/input.txt", tokenizers.Characters()
SPLIT = 0.9  # the customary one: the last tenth is for validation


def config() -> Experiment:
    """A modern GPT of six layers, 384 wide, that sees 256 letters: 5,000 steps of 64 rows, as nanoGPT's for a GPU."""
    train = datasets.Texts(PATH, LETTERS, length=256, batch=64, part=(0, SPLIT), stride=1)
    val = datasets.Texts(PATH, LETTERS, length=256, batch=64, part=(SPLIT, 1))
    return Experiment(
        model=zoo.modern.small(
            vocabulary=67, length=256, width=384, depth=6, heads=6, kv_heads=0, dropout=0.2, dtype="bfloat16"
        ),
        data=train,
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(val)},
        optim=Optim(lr=1e-3, warmup=100, rule=AdamW(decay=0.1, b2=0.99)),
        run=Run(steps=5_000, evaluate_every=500),
    )
