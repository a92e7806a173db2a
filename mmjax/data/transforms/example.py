"""What a transform is given, and how it leaves the rest alone."""

from collections.abc import Callable

import numpy as np

Inputs = dict[str, np.ndarray | None]  # by modality; None is absent


def changed(inputs: Inputs, modality: str, change: Callable[[np.ndarray], np.ndarray]) -> Inputs:
    """``inputs`` with one modality changed; absent, it stays absent. Arrays given are never written to."""
    value = inputs.get(modality)
    return inputs if value is None else {**inputs, modality: change(value)}
