"""The log-mel features of Whisper."""

import importlib

import numpy as np

from tools.golden.weight import GOLDENS


def clip(seconds: float, *, rate: int = 16_000) -> np.ndarray:
    """A rising tone that swells over faint noise, as 16-bit samples: every band has something in it."""
    time = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (80 * time + 3500 * time**2 / seconds)) * np.sin(np.pi * time / seconds) ** 2
    noise = np.random.default_rng(0).normal(size=len(time)) * 10 ** (-1 - 3 * time / seconds)
    return np.round(16_000 * (0.8 * tone + 0.1 * noise)).astype(np.int16)


def main() -> None:
    """Log-mel features (``n mels``) of two clips by transformers' WhisperFeatureExtractor, 80 and 128 bands."""
    transformers = importlib.import_module("transformers")
    arrays: dict[str, np.ndarray] = {"source": np.array(f"transformers {transformers.__version__}")}
    for name, seconds, mels in (("long", 1.0, 80), ("short", 0.333, 128)):
        samples = clip(seconds)
        extract = transformers.WhisperFeatureExtractor(feature_size=mels)
        features = extract(samples / np.float32(32_768), sampling_rate=16_000, return_tensors="np").input_features
        arrays[f"{name}_samples"] = samples
        arrays[f"{name}_features"] = features[0, :, : -(-len(samples) // 160)].T.astype(np.float32)
    np.savez_compressed(GOLDENS / "whisper_mel.npz", allow_pickle=False, **arrays)
