"""What is trained: networks that a processor trains in a fraction of a second a step."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Shape:
    """A tower of ``depth`` pre-LN layers over each of ``kinds``, ``joint`` layers over all their tokens, and answers.

    picture: square, patches of 16. audio: log-mel frames of 80, two convolutions as in Whisper. text: words of 8,192.
    causal: the same, each word telling the next. AdamW.
    """

    kinds: tuple[str, ...]
    batch: int
    width: int = 192
    depth: int = 6
    joint: int = 0
    heads: int = 3
    classes: int = 100

    @property
    def causal(self) -> bool:
        """Whether words tell the next."""
        return self.kinds == ("causal",)


WORDS, MELS, PATCH = 8192, 80, 16
SIZES = {"picture": 224, "audio": 400, "text": 128, "causal": 128}
TOKENS = {"picture": (224 // PATCH) ** 2, "audio": 200, "text": 128, "causal": 128}
SHAPES = {
    "vit": Shape(("picture",), batch=8),
    "audio": Shape(("audio",), batch=8),
    "text": Shape(("text",), batch=16),
    "causal": Shape(("causal",), batch=8, classes=WORDS),
    "three": Shape(("audio", "picture", "text"), batch=4, depth=2, joint=2),
}
RATE, DECAY, EPSILON = 1e-3, 0.05, 1e-6
