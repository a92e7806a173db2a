"""What kernels begin with."""

from typing import Any

from flax import linen


def kernel(stddev: float, shrink: float = 1.0) -> Any:
    """Normal with deviation ``stddev``, or for 0 one that keeps the variance of its inputs; times ``shrink``.

    Layers that add to what goes past them make it louder and louder, unless each begins smaller, by 1 / sqrt(how many
    add), as in GPT-2.
    """
    if stddev:
        return linen.initializers.normal(stddev * shrink)
    if shrink == 1.0:
        return linen.initializers.lecun_normal()
    return linen.initializers.variance_scaling(shrink**2, "fan_in", "truncated_normal")
