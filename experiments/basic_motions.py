"""What a smart watch feels: standing, walking, running or badminton, from 10 s of acceleration and rotation.

``mmjax train experiments/basic_motions.py`` holds out a quarter of the recordings, evenly over the activities;
``python experiments/basic_motions.py`` holds out each quarter in turn, for ten deals of the recordings, and prints
a line for each deal.
"""

import mmjax
from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

SENSORS = {
    "accelerometer": fields.Sensor("recording", channels=("acc_x", "acc_y", "acc_z")),
    "gyroscope": fields.Sensor("recording", channels=("gyro_x", "gyro_y", "gyro_z")),
}


def part(index: int, deal: int, *, held_out: bool, **options) -> datasets.Manifest:
    """One quarter of the recordings, or the other three."""
    fold = datasets.Fold(count=4, index=index, evenly="activity", held_out=held_out, seed=deal)
    return datasets.Manifest("basic_motions/train.csv", label="activity", inputs=SENSORS, fold=fold, **options)


def config(index: int = 0, deal: int = 0) -> Experiment:
    """Two sensors in one file as two modalities; the answer comes from both or either."""
    augment = tuple(
        transform(name) for name in SENSORS for transform in (transforms.Shift, transforms.Scale, transforms.Jitter)
    )
    return Experiment(
        model=Multimodal(
            encoders={name: encoders.Sensor(width=32, depth=1, patch=4, dropout=0.1) for name in SENSORS},
            fusion=fusion.Late(width=32),
            heads={"activity": heads.Classify(classes=4, dropout=0.1)},
        ),
        data=part(index, deal, held_out=False, batch=24, augment=augment),
        objectives={"activity": objectives.CrossEntropy("activity", smoothing=0.1)},
        evaluators={"unseen": Evaluator(part(index, deal, held_out=True, batch=10), subsets=True)},
        optim=Optim(lr=2e-3, warmup=20, average=0.95),
        run=Run(steps=200),
        modality_dropout=0.2,
    )


if __name__ == "__main__":
    for deal in range(10):
        found = [mmjax.train(config(index, deal), quiet=True).evaluations["unseen"] for index in range(4)]
        right = sum(round(f["count"] * f["heads"]["activity"]["accuracy"]["value"]) for f in found)
        print(f"deal {deal}: {right} of {sum(f['count'] for f in found)} right", flush=True)
