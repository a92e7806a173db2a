"""Kernels of several axes as matrices: what goes in by what comes out."""

import math
import re


def shape(path: str, axes: tuple[int, ...]) -> tuple[int, ...]:
    """``(..., inputs, outputs)`` of the kernel at ``path``; layers of a scanned trunk and experts stand in front."""
    each = re.search(r"(^|/)blocks/", path), re.search(r"(^|/)experts/(up|gate|down)/kernel$", path)
    many = axes[: sum(map(bool, each))]
    axes = axes[len(many) :]
    inputs = axes[0] if re.search(r"(query|key|value)/kernel$", path) else math.prod(axes[:-1])
    return *many, inputs, math.prod(axes) // max(inputs, 1)
