"""Which part of the body does a radiograph show? One modality, as the special case that it is (VQA-RAD)."""

from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

INPUTS = {"image": fields.Image(size=64, channels=1, background=0)}
AUGMENT = (
    transforms.Affine("image", degrees=10, shift=0.05, scale=0.15),
    transforms.Light("image", brightness=0.1, contrast=0.2),
)


def config() -> Experiment:
    """Chest, abdomen or head from 64 x 64 grey pixels; a row for each question, so a picture comes several times."""
    return Experiment(
        model=Multimodal(
            encoders={"image": encoders.Image(width=64, depth=1, patch=16, convolutions=4, channels=32, dropout=0.1)},
            fusion=fusion.Late(width=64),
            heads={"organ": heads.Classify(classes=3)},
        ),
        data=datasets.Manifest("vqa_rad/train.jsonl", label="organ", inputs=INPUTS, batch=32, augment=AUGMENT),
        objectives={"organ": objectives.CrossEntropy("organ", smoothing=0.1)},
        evaluators={"val": Evaluator(datasets.Manifest("vqa_rad/val.jsonl", label="organ", inputs=INPUTS, batch=167))},
        optim=Optim(lr=1e-3, warmup=30, average=0.98),
        run=Run(steps=300),
    )
