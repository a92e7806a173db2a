"""Numbers read out, digit after digit, to words: a decoder listens and writes, as Whisper does.

Strings are those of ``spoken_digits.py``, which has no decoder.
"""

from mmjax import Experiment, datasets, decoders, encoders, fields, metrics, objectives, transforms
from mmjax.train import Evaluator, Optim, Run

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
AUGMENT = (
    transforms.Gain("audio", decibels=6),
    transforms.Speed("audio", rate=0.15),
    transforms.Noise("audio", snr=(10.0, 40.0)),
)


WRITTEN = {"next": metrics.Replies(figures=("word_error_rate", "character_error_rate", "exact_match"))}


def strings(path: str, speakers: tuple[str, ...], rows: int, least: int = 3, **options) -> datasets.Strung:
    """``least`` to seven recordings of one of these speakers, one after the other."""
    text = fields.Prompt("", answer="{text}")  # nothing is asked, all is answered
    return datasets.Strung(
        path,
        by="speaker",
        where={"speaker": speakers},
        spelled={str(digit): word for digit, word in enumerate(WORDS)},
        rows=rows,
        count=(least, 7),
        pause=(0.0, 0.1),
        inputs={"audio": fields.Audio(rate=8_000, seconds=6.0), "text": text},
        targets={"next": fields.Reply(text)},
        **options,
    )


def config(unheard: str = "theo") -> Experiment:
    """An encoder and a decoder of three layers each, trained on five speakers; measured on these and on the sixth.

    What to listen to for which word is learned from short strings, and soon enough only where kernels begin large.
    """
    known = tuple(speaker for speaker in SPEAKERS if speaker != unheard)
    size = {"width": 64, "depth": 3, "heads": 4, "dropout": 0.1, "key_bias": False}
    decoder = decoders.GPT(
        len(WORDS) + 3, length=16, cross=1, activation="gelu", stddev=0.12, position_stddev=0.12, **size
    )
    return Experiment(
        model=decoders.Talker(
            encoders={"audio": encoders.Audio(rate=8_000, mels=40, hop=0.02, convolutions=3, **size)},
            decoder=decoder,
        ),
        data=strings("av_digits/train.csv", known, 10_000, least=1, batch=32, augment=AUGMENT),
        objectives={"next": objectives.CrossEntropy("next", smoothing=0.1)},
        evaluators={
            "known": Evaluator(strings("av_digits/val.csv", known, 400, batch=100), WRITTEN),
            "unheard": Evaluator(strings("av_digits/val.csv", (unheard,), 400, batch=100), WRITTEN),
        },
        optim=Optim(lr=3e-3, warmup=100, average=0.995),
        run=Run(steps=1_500, log_every=50),
    )
