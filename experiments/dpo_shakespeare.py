"""Shakespeare in shorter lines: a preference that a function tells, from pairs of the model's own samples."""

from mmjax import Experiment, datasets, objectives, tokenizers, zoo
from mmjax.generate import Pairs, Rewarded, reward
from mmjax.train import AdamW, Evaluator, Optim, Run

PATH, LETTERS, LIKED = "shakespeare/input.txt", tokenizers.Characters(), reward.Share("\n")
ASKED = {"prompt": 24, "words": 40}  # letters


def config() -> Experiment:
    """Begins with what shakespeare_char.py learned: train that into runs/shakespeare_char first."""
    train = datasets.Texts(PATH, LETTERS, length=64, batch=32, part=(0, 0.9), stride=7)
    val = datasets.Texts(PATH, LETTERS, length=64, batch=128, part=(0.9, 0.92))
    return Experiment(
        model=zoo.modern.small(vocabulary=67, length=64, width=128, depth=4, heads=4, kv_heads=0, mlp=2.5),
        init_from="runs/shakespeare_char",
        data=train,
        objectives={"preference": objectives.Preference(beta=0.1)},
        evaluators={"val": Evaluator(val, metrics={"next": Rewarded(LIKED, **ASKED)})},
        optim=Optim(lr=1e-4, warmup=10, rule=AdamW(decay=0.0)),
        run=Run(steps=100, log_every=10),
        rollout=Pairs(LIKED, **ASKED),
    )
