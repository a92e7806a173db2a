"""Sums of two digits, learned from being told right or wrong alone."""

from mmjax import Experiment, datasets, decoders, fields, metrics, objectives
from mmjax.generate import Rollout, reward
from mmjax.train import AdamW, Evaluator, Optim, Run

PROMPT = fields.Prompt("{sum}", length=2, reply=1)  # "3", "4", and a word for the sum
SUMS = {"inputs": {"text": PROMPT}, "targets": {"next": fields.Reply(PROMPT)}}


def config() -> Experiment:
    """Sixteen guesses at each of the 100 sums a step, by a GPT that begins with 22 words all as likely."""
    return Experiment(
        model=decoders.GPT(vocabulary=22, length=3, width=64, depth=2, heads=4),
        data=datasets.Sums(batch=100, **SUMS),
        objectives={"policy": objectives.Policy("next")},
        evaluators={"val": Evaluator(datasets.Sums("val", **SUMS), metrics={"next": metrics.Replies()})},
        optim=Optim(lr=2e-3, warmup=10, rule=AdamW(decay=0.0)),
        run=Run(steps=800, log_every=20),
        rollout=Rollout(reward.Exact(), group=16),
    )
