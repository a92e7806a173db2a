"""Two signals made so that it is known what each says alone, what both say, and what only both together say.

``mmjax compare experiments/synergy.py`` holds every fusion against the truth, which ``python experiments/synergy.py``
prints: the best accuracy that is possible from each signal, from both, and for experts that know one each.
"""

from mmjax import Experiment, Multimodal, datasets, encoders, fusion, heads, objectives
from mmjax.train import Evaluator, Optim, Run


def config() -> Experiment:
    """Four classes; 30 % of the answers are in the sum of two symbols, each of which says nothing by itself."""
    return Experiment(
        model=Multimodal(
            encoders={name: encoders.Sensor(width=32, depth=1, patch=1) for name in ("a", "b")},
            fusion=fusion.Joint(width=32, depth=1),
            heads={"label": heads.Classify(classes=4)},
        ),
        data=datasets.Synergy("train", rows=4_000, batch=128),
        objectives={"label": objectives.CrossEntropy("label")},
        evaluators={"val": Evaluator(datasets.Synergy("val", rows=2_000, batch=500), subsets=True)},
        optim=Optim(lr=3e-3, warmup=20),
        run=Run(steps=300),
        modality_dropout=0.2,
    )


if __name__ == "__main__":
    for given, accuracy in datasets.Synergy().optimal().items():
        print(f"{given:<20}{100 * accuracy:.1f} %")
