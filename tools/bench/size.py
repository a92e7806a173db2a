"""Sizes of the models that are measured on an accelerator, for both sides of the comparison."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Size:
    """Pre-LN trunks of ``depth`` layers; what each modality needs beside. A tower of kind ``pair`` is there twice."""

    kind: str
    batch: int
    width: int
    depth: int
    heads: int
    length: int = 0  # words
    words: int = 0
    picture: int = 0  # pixels
    patch: int = 0
    frames: int = 0  # of 80 mels, halved by the front end


SIZES = {
    # 24 layers of 2048: 1.2B in the trunk, 1.3B with words and positions.
    "language_1_3b": Size("language", batch=8, width=2048, depth=24, heads=16, length=2048, words=32_768),
    # The towers of SigLIP-B/16: 12 layers of 768 over 14 x 14 patches, and over 64 words.
    "pair_b16": Size("pair", 256, 768, 12, 12, length=64, words=32_000, picture=224, patch=16),
    # Whisper-medium's encoder: 30 seconds.
    "audio_medium": Size("audio", batch=32, width=1024, depth=24, heads=16, frames=3000),
}
TINY = {
    "language_1_3b": Size("language", 2, 64, 2, 2, length=32, words=128),
    "pair_b16": Size("pair", 4, 64, 2, 2, length=16, words=128, picture=32, patch=16),
    "audio_medium": Size("audio", 2, 64, 2, 2, frames=40),
}
EPSILON = 1e-6
