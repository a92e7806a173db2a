"""How near guesses of what was hidden come to it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmjax.core import Batch, Outputs
from mmjax.core.rows import Rows, pair
from mmjax.metrics import bootstrap
from mmjax.metrics.bootstrap import Measured, ratio
from mmjax.metrics.rows import finite


@dataclass(frozen=True)
class Reconstruction:
    """The squared error of a head against numbers ``b n p`` that were hidden (``views.Hide``), as the loss of a masked
    autoencoder is. Intervals are over rows.

    error: its mean over hidden numbers; r2: the share of their variance that it explains, 0 for the best single
    number, which has the error ``constant``. normed: as the objective's, each patch at mean 0 and variance 1.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    target: str
    head: str | None = None
    normed: bool = False

    def __call__(self, outputs: Outputs, batch: Batch) -> Rows:
        rows = pair(outputs, batch, target=self.target, head=self.head)
        told, axes = rows.targets, tuple(range(1, rows.targets.ndim))
        if self.normed:
            apart = told - jnp.mean(told, axis=-1, keepdims=True)
            spread = jnp.sum(jnp.square(apart), axis=-1, keepdims=True) / max(told.shape[-1] - 1, 1)
            told = apart / jnp.sqrt(spread + 1e-6)
        parts = (jnp.square(rows.scores - told), told, jnp.square(told))
        sums = [jnp.sum(jnp.where(rows.mask, part, 0), axis=axes) for part in parts]
        count = jnp.sum(rows.mask, axis=axes)
        return Rows(jnp.stack(sums, axis=-1), count, count > 0)

    def compute(self, rows: Rows, *, resamples: int = 1000, seed: int = 0, **_: Any) -> dict[str, Any]:
        """JSON-ready figures with 95 % intervals, and ``count``, of rows with something hidden."""
        rows = finite(rows, self.head or self.target)
        errors, sums, squares = rows.scores.astype(np.float64).T

        def measure(weights: Float[np.ndarray, "r n"]) -> Measured:
            error, mean, square = (
                ratio(weights @ each, weights @ rows.targets, empty=np.nan) for each in (errors, sums, squares)
            )
            constant = square - mean**2
            return Measured({"error": error, "constant": constant, "r2": 1 - ratio(error, constant, empty=np.nan)})

        report = bootstrap.estimate(measure, rows=len(errors), resamples=resamples, seed=seed)
        bootstrap.explain(report.figures, {})
        return {**report.figures, "count": len(errors)}
