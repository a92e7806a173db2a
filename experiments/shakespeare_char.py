"""Plays of Shakespeare, letter by letter, within a budget for two processor cores."""

from mmjax import Experiment, datasets, objectives, tokenizers, zoo
from mmjax.train import AdamW, Evaluator, Optim, Run

PATH, LETTERS = "shakespeare/input.txt", tokenizers.Characters()
SPLIT = 0.9  # the customary one: the last tenth is for validation


def config() -> Experiment:
    """A modern GPT of four layers, 128 wide, that sees 64 letters: 2,000 steps of 12 rows, as nanoGPT's for a CPU."""
    train = datasets.Texts(PATH, LETTERS, length=64, batch=12, part=(0, SPLIT), stride=1)
    val = datasets.Texts(PATH, LETTERS, length=64, batch=64, part=(SPLIT, 1))
    return Experiment(
        model=zoo.modern.small(vocabulary=67, length=64, width=128, depth=4, heads=4, kv_heads=0, mlp=2.5),
        data=train,
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(val)},
        optim=Optim(lr=4e-3, warmup=100, rule=AdamW(decay=0.1, b2=0.99)),
        run=Run(steps=2_000),
    )
