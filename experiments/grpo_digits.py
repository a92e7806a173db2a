"""Sums of two written digits, learned from pictures and from being told right or wrong alone."""

from mmjax import Experiment, datasets, decoders, encoders, fields, metrics, objectives
from mmjax.generate import Rollout, reward
from mmjax.train import AdamW, Evaluator, Optim, Run

PROMPT = fields.Prompt("<image>", places={"image": 2}, length=3, reply=1)  # a token a digit, then a word
SUMS = {
    "pictures": True,
    "inputs": {"image": fields.Image(size=(8, 16), channels=1, background=0), "text": PROMPT},
    "targets": {"next": fields.Reply(PROMPT)},
}


def config() -> Experiment:
    """Sixteen guesses at each of 64 pairs of pictures a step, by a model that begins with 22 words all as likely.

    The toll is on leaving where it began, and so on being sure of anything: without, some sums are never guessed right,
    and not being guessed are never learned.
    """
    return Experiment(
        model=decoders.Talker(
            encoders={"image": encoders.Image(width=64, depth=0, patch=8, convolutions=0)},
            decoder=decoders.GPT(vocabulary=22, length=3, width=64, depth=2, heads=4),
        ),
        data=datasets.Sums(batch=64, **SUMS),
        objectives={"policy": objectives.Policy("next", toll=0.1)},
        evaluators={"val": Evaluator(datasets.Sums("val", batch=250, **SUMS), metrics={"next": metrics.Replies()})},
        optim=Optim(lr=2e-3, warmup=20, rule=AdamW(decay=0.0)),
        run=Run(steps=2_500, log_every=25),
        rollout=Rollout(reward.Exact(), group=16, reference=True),
    )
