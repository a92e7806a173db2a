"""Numbers read out, digit after digit, to words: no one tells when which digit is said (CTC).

Strings are cut together from the Free Spoken Digit Dataset; ``spoken_digits_talker.py`` hears the same with a decoder.
"""

from mmjax import Experiment, Multimodal, datasets, encoders, fields, fusion, heads, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
AUGMENT = (
    transforms.Gain("audio", decibels=6),
    transforms.Speed("audio", rate=0.15),
    transforms.Noise("audio", snr=(10.0, 40.0)),
)


def strings(path: str, speakers: tuple[str, ...], rows: int, **options) -> datasets.Strung:
    """Three to seven recordings of one of these speakers, one after the other."""
    return datasets.Strung(
        path,
        by="speaker",
        where={"speaker": speakers},
        spelled={str(digit): word for digit, word in enumerate(WORDS)},
        rows=rows,
        count=(3, 7),
        pause=(0.0, 0.1),
        inputs={"audio": fields.Audio(rate=8_000, seconds=6.0)},
        targets={"text": fields.Text()},
        **options,
    )


def config(unheard: str = "theo") -> Experiment:
    """Hearing alone, trained on five speakers; measured on new recordings of these, and on the sixth."""
    known = tuple(speaker for speaker in SPEAKERS if speaker != unheard)
    return Experiment(
        model=Multimodal(
            encoders={
                "audio": encoders.Audio(width=64, depth=3, rate=8_000, mels=40, hop=0.02, convolutions=2, dropout=0.1)
            },
            fusion=fusion.Joint(width=64, depth=0),
            heads={"text": heads.Transcribe(vocabulary=len(WORDS) + 2)},
        ),
        data=strings("av_digits/train.csv", known, 10_000, batch=32, augment=AUGMENT),
        objectives={"text": objectives.CTC("text")},
        evaluators={
            "known": Evaluator(strings("av_digits/val.csv", known, 400, batch=100)),
            "unheard": Evaluator(strings("av_digits/val.csv", (unheard,), 400, batch=100)),
        },
        optim=Optim(lr=3e-3, warmup=100, average=0.995),
        run=Run(steps=1_500, log_every=50),
    )
