"""Optimizers as values: a rule, a schedule, clipping and averaging, built into one optax chain."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mmjax.core import UserError, trees


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay on kernels and embeddings (Loshchilov & Hutter, 2019, arXiv:1711.05101)."""

    decay: float = 0.05
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        return optax.adamw(rate, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.decay, mask=decayed)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, 2015, arXiv:1412.6980)."""

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        return optax.adam(rate, b1=self.b1, b2=self.b2, eps=self.eps)


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum; ``decay`` is added to the gradient of kernels and embeddings."""

    momentum: float = 0.9
    nesterov: bool = False
    decay: float = 0.0

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        step = optax.sgd(rate, momentum=self.momentum or None, nesterov=self.nesterov)
        return optax.chain(optax.add_decayed_weights(self.decay, mask=decayed), step) if self.decay else step


@dataclass(frozen=True)
class Constant:
    """The same rate throughout."""

    def build(self, peak: float, steps: int) -> optax.Schedule:
        return optax.constant_schedule(peak)


@dataclass(frozen=True)
class Linear:
    """A straight line from the peak down to ``end`` times the peak."""

    end: float = 0.0

    def build(self, peak: float, steps: int) -> optax.Schedule:
        return optax.linear_schedule(peak, peak * self.end, steps)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the peak down to ``end`` times the peak (Loshchilov & Hutter, 2017, arXiv:1608.03983)."""

    end: float = 0.0

    def build(self, peak: float, steps: int) -> optax.Schedule:
        return optax.cosine_decay_schedule(peak, steps, alpha=self.end)


@dataclass(frozen=True)
class Optim:
    """How parameters move.

    lr: the peak learning rate, reached after ``warmup`` steps. clip: largest global norm of the
    gradient, 0 for none. accumulate: micro-batches a step, exactly equal to the whole batch at
    once (but for nn.BatchNorm, which sees each by itself). average: decay of an exponential moving
    average of the parameters, 0 for none; where it is kept, it is what evaluation and prediction use.
    """

    lr: float = 1e-3
    warmup: int = 0
    rule: Any = AdamW()
    schedule: Any = Cosine()
    clip: float = 1.0
    accumulate: int = 1
    average: float = 0.0

    def rate(self, steps: int) -> optax.Schedule:
        """Learning rate by step, for a run of ``steps`` steps."""
        if not 0 <= self.warmup <= steps:
            raise UserError(f"optim.warmup={self.warmup} is not between 0 and run.steps={steps}")
        main = self.schedule.build(self.lr, max(steps - self.warmup, 1))
        if not self.warmup:
            return main
        ramp = optax.linear_schedule(self.lr / self.warmup, self.lr, max(self.warmup - 1, 1))
        return optax.join_schedules([ramp, main], [self.warmup])

    def build(self, steps: int) -> optax.GradientTransformation:
        """The optax transformation for a run of ``steps`` steps."""
        parts = [optax.clip_by_global_norm(self.clip)] if self.clip else []
        parts.append(self.rule.build(self.rate(steps)))
        if self.average:
            parts.append(averaging(self.average))
        return optax.chain(*parts)


class AverageState(NamedTuple):
    """An average of parameters and the number of steps it is over."""

    count: Any
    average: Any


def averaging(decay: float) -> optax.GradientTransformation:
    """Keep an exponential moving average of the parameters; put it last in a chain.

    The decay ramps up as (1 + t) / (10 + t), so that the first steps do not linger.
    """

    def init(params: Any) -> AverageState:
        return AverageState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AverageState]:
        rate = jnp.minimum(decay, (1 + state.count) / (10 + state.count))
        new = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda old, now: old * rate + now * (1 - rate), state.average, new)
        return updates, AverageState(state.count + 1, average)

    return optax.GradientTransformation(init, update)


def averaged(params: Any, opt_state: Any) -> Any:
    """The averaged parameters where ``opt_state`` keeps them, else ``params``."""
    kept = [s for s in jax.tree.leaves(opt_state, is_leaf=_is_average) if _is_average(s)]
    return kept[0].average if kept else params


def decayed(params: Any) -> Any:
    """Which parameters weight decay is for: kernels and embeddings, not biases, scales or positions.

    Words that training saw once or twice would otherwise keep the random vectors that they began with.
    """
    return trees.map_paths(lambda path, _: path.endswith(("kernel", "embedding")), params)


def _is_average(state: Any) -> bool:
    return isinstance(state, AverageState)
