"""Shakespeare with more exclamation marks: a style rewarded by a function, learned by PPO with a toll on leaving."""

from mmjax import Experiment, datasets, decoders, objectives, tokenizers, zoo
from mmjax.generate import Rewarded, Rollout, reward
from mmjax.train import AdamW, Evaluator, Optim, Run

PATH, LETTERS, LIKED = "shakespeare/input.txt", tokenizers.Characters(), reward.Share("!")
ASKED = {"prompt": 24, "words": 40}  # letters


def config() -> Experiment:
    """Begins with what shakespeare_char.py learned: train that into runs/shakespeare_char first."""
    train = datasets.Texts(PATH, LETTERS, length=64, batch=64, part=(0, 0.9), stride=7)
    val = datasets.Texts(PATH, LETTERS, length=64, batch=128, part=(0.9, 0.92))
    policy = zoo.modern.small(vocabulary=67, length=64, width=128, depth=4, heads=4, kv_heads=0, mlp=2.5)
    return Experiment(
        model=decoders.Valued(policy),
        init_from="runs/shakespeare_char",
        data=train,
        objectives={"policy": objectives.Policy(average="word"), "value": objectives.Values(weight=0.5)},
        evaluators={"val": Evaluator(val, metrics={"next": Rewarded(LIKED, **ASKED)})},
        optim=Optim(lr=3e-4, warmup=10, rule=AdamW(decay=0.0)),
        run=Run(steps=120, log_every=10),
        rollout=Rollout(LIKED, group=1, against="value", toll=0.002, **ASKED),
    )
