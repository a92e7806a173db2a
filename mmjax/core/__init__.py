"""Words that every room speaks: values with masks, means with counts, and plain JSON."""

from mmjax.core.errors import UserError
from mmjax.core.types import LOSSES, Batch, Factored, Kept, Mean, Outputs, Signal, Tokens

__all__ = ["LOSSES", "Batch", "Factored", "Kept", "Mean", "Outputs", "Signal", "Tokens", "UserError"]
