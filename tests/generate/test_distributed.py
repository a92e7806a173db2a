"""Answers that several processes draw and reward, each its own rows, are those of one."""

import json

import numpy as np

from train.test_distributed import command, slurm

RECIPE = '''
"""Sums, from rewards."""
from mmjax import Experiment, datasets, decoders, fields, objectives
from mmjax.generate import Rollout, reward
from mmjax.train import Constant, Optim, Run

PROMPT = fields.Prompt("{sum}", length=2, reply=2)


def config():
    """Four guesses at each of eight sums."""
    return Experiment(
        model=decoders.Valued(decoders.GPT(vocabulary=22, length=3, width=8, depth=1, heads=2)),
        data=datasets.Sums(batch=8, inputs={"text": PROMPT}, targets={"next": fields.Reply(PROMPT)}),
        objectives={"policy": objectives.Policy(average="word"), "value": objectives.Values()},
        optim=Optim(lr=1e-2, schedule=Constant()),
        run=Run(steps=4, log_every=1, save_every=2),
        rollout=Rollout(reward.Length(scale=4.0), group=4, against="value"),
    )
'''


def figures(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [[line[name] for name in ("loss", "reward", "words", "divergence")] for line in lines if "reward" in line]


def test_answers_of_several_processes_are_those_of_one(tmp_path):
    recipe = tmp_path / "sums.py"
    recipe.write_text(RECIPE)
    one = command(["train", recipe, "--workdir", tmp_path / "one"], devices=2)
    both = [command(["train", recipe, "--workdir", tmp_path / "both"], **env) for env in slurm(2)]
    said = [process.communicate(timeout=500)[1] for process in (one, *both)]
    assert [process.returncode for process in (one, *both)] == [0, 0, 0], "\n".join(said)[-3000:]
    wanted = figures(tmp_path / "one")
    np.testing.assert_allclose(figures(tmp_path / "both"), wanted, rtol=1e-5, atol=1e-5)
    assert len(wanted) == 4 and wanted[3][3] != 0 and len({row[1] for row in wanted}) > 1
