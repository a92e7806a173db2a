"""A figure as people write it."""

from collections.abc import Mapping
from typing import Any


def percent(figure: Mapping[str, Any]) -> str:
    """A share and its interval, ``value``, ``low`` and ``high``, as ``98.3 % (97.0 to 99.1)``."""
    value, low, high = (100 * figure[part] for part in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"
