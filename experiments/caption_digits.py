"""A written digit and the same digit spoken to a sentence that says both, and who spoke."""

from mmjax import Experiment, datasets, decoders, encoders, fields, metrics, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

SENTENCE = "a written {label} and a spoken {label} by {speaker}"
PROMPT = fields.Prompt("<image> and <audio>:", SENTENCE, places={"image": 4, "audio": 8}, length=13, reply=10)
INPUTS = {
    "image": fields.Image(size=28, channels=1),
    "audio": fields.Audio(rate=8_000, seconds=1.0),
    "text": PROMPT,
}
TARGETS = {"next": fields.Reply(PROMPT)}

AUGMENT = (
    transforms.Affine("image", degrees=12, shift=0.08, scale=0.12),
    transforms.Shift("audio", fraction=0.1),
    transforms.Gain("audio", decibels=6),
)


def part(path: str, **options) -> datasets.Manifest:
    """The pairs of a file."""
    return datasets.Manifest(path, inputs=INPUTS, targets=TARGETS, **options)


def config() -> Experiment:
    """Picture and sound become four and eight tokens that stand in the text, which a small GPT continues."""
    return Experiment(
        model=decoders.Talker(
            encoders={
                "image": encoders.Image(width=64, depth=0, patch=8, convolutions=3, channels=64),
                "audio": encoders.Audio(width=64, depth=1, rate=8_000, mels=40, hop=0.02, convolutions=0),
            },
            bridges={
                "image": decoders.Latents(width=64, latents=4),
                "audio": decoders.Latents(width=64, latents=8),
            },
            decoder=decoders.GPT(vocabulary=24, length=24, width=64, depth=2, heads=4),
        ),
        data=part("av_digits/train.csv", batch=64, augment=AUGMENT),
        objectives={"next": objectives.CrossEntropy("next")},
        evaluators={"val": Evaluator(part("av_digits/val.csv", batch=250), metrics={"answer": metrics.Replies()})},
        optim=Optim(lr=2e-3, warmup=100, average=0.995),
        run=Run(steps=2_000, log_every=50),
    )
