"""Optimizers as values: a rule, a schedule, clipping and averaging, built into one optax chain."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mmjax.core import UserError, trees
from mmjax.train import frozen as still
from mmjax.train import moment, muon, pace


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay on kernels and embeddings (Loshchilov & Hutter, 2019, arXiv:1711.05101).

    moments: what both of them are kept as, float32, bfloat16 (half the memory) or int8 (a quarter; ``train.moment``).
    """

    decay: float = 0.05
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    moments: str = "float32"

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        if self.moments != "float32":
            return _decoupled(moment.adam(self.b1, self.b2, self.eps, kind=self.moments), self.decay, rate)
        return optax.adamw(rate, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.decay, mask=decayed)

    def elementwise(self, path: str) -> bool:
        return self.moments == "float32"  # others are rounded by where in an array a number lies


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, 2015, arXiv:1412.6980)."""

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        return optax.adam(rate, b1=self.b1, b2=self.b2, eps=self.eps)

    def elementwise(self, path: str) -> bool:
        return True


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum; ``decay`` is added to the gradient of kernels and embeddings."""

    momentum: float = 0.9
    nesterov: bool = False
    decay: float = 0.0

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        step = optax.sgd(rate, momentum=self.momentum or None, nesterov=self.nesterov)
        return optax.chain(optax.add_decayed_weights(self.decay, mask=decayed), step) if self.decay else step

    def elementwise(self, path: str) -> bool:
        return True


@dataclass(frozen=True)
class Adafactor:
    """Adam without a mean, whose squares are kept by row and by column (Shazeer & Stern, 2018, arXiv:1804.04235).

    Nearly no memory: arrays whose two longest axes have at least ``factored`` numbers keep a number a row and column.
    momentum: of the step, in bfloat16; 0 for none. Weight decay is AdamW's.
    """

    decay: float = 0.05
    momentum: float = 0.0
    factored: int = 128

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        step = [optax.scale_by_factored_rms(min_dim_size_to_factor=self.factored), optax.clip_by_block_rms(1.0)]
        if self.momentum:
            step.append(optax.ema(self.momentum, debias=False, accumulator_dtype=jnp.bfloat16))
        return _decoupled(optax.chain(*step), self.decay, rate)


@dataclass(frozen=True)
class Lion:
    """The sign of a momentum (Chen et al., 2023, arXiv:2302.06675): half of AdamW's memory.

    Its rate should be three to ten times smaller than AdamW's and its decay as much larger. moments: float32 or
    bfloat16.
    """

    decay: float = 0.5
    b1: float = 0.9
    b2: float = 0.99
    moments: str = "float32"

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        if self.moments not in moment.KINDS[:2]:
            raise UserError(f"moments is {self.moments!r}; of Lion it can be {' or '.join(moment.KINDS[:2])}")
        dtype = jnp.dtype(self.moments)
        return optax.lion(rate, b1=self.b1, b2=self.b2, mu_dtype=dtype, weight_decay=self.decay, mask=decayed)

    def elementwise(self, path: str) -> bool:
        return True


@dataclass(frozen=True)
class Muon:
    """Momentum made orthogonal for the kernels of blocks, AdamW for all else (``train.muon``): rates are AdamW's."""

    decay: float = 0.05
    momentum: float = 0.95
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def build(self, rate: optax.Schedule) -> optax.GradientTransformation:
        return _decoupled(muon.muon(self.momentum, self.b1, self.b2, self.eps), self.decay, rate)

    def elementwise(self, path: str) -> bool:
        return not muon.is_matrix(path)


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

    lr: the peak learning rate, reached after ``warmup`` steps. rule: ``build(rate)`` gives its optax transformation;
    ``elementwise(path)``, which it need not have, says whether it moves each number of a parameter by itself, and asks
    of the parameter only whether it is ``decayed`` (then small ones may lie end to end, ``train.flat``). clip: largest
    global norm of the gradient, 0 for none. accumulate: micro-batches a step, exactly equal to the whole batch
    at once (but for nn.BatchNorm, which sees each by itself). average: decay of an exponential moving average of the
    parameters, 0 for none; where it is kept, it is what evaluation and prediction use. average_to: what that decay
    rises to by half a cosine over the run, as BYOL's and DINO's teachers do to 1; 0 for no rise.

    frozen: regular expressions; parameters in whose paths one is found stay as they are. They cost no gradient and no
    memory of the optimizer's; all layers of a scanned trunk are one parameter. A ``nn.BatchNorm`` whose scale is
    frozen keeps its running statistics and goes by them; dropout in frozen parts goes on (set it to 0 there).
    rates: factors of the rate by such expressions, as ``{"^encoders_": 0.1}``, multiplied where several are found.
    layer_decay: the rate falls by this from each layer of a trunk to the one before (``train.pace``). What an
    expression is found in no path of is an error.
    """

    lr: float = 1e-3
    warmup: int = 0
    rule: Any = AdamW()
    schedule: Any = Cosine()
    clip: float = 1.0
    accumulate: int = 1
    average: float = 0.0
    average_to: float = 0.0
    frozen: tuple[str, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    layer_decay: float = 1.0

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
        if self.rates or self.layer_decay != 1:
            parts.append(pace.scaled(self.rates, self.layer_decay))
        if self.average:
            parts.append(averaging(self._decay(steps)))
        return still.over(optax.chain(*parts), self.frozen)

    def alike(self, params: Any) -> Any:
        """A word for each parameter, the same for those that are moved alike, each number by its own gradient.

        "" for one of which the rule looks at more than a number. With ``layer_decay`` it is for all: what a layer's
        rate is depends on what other layers there are.
        """
        by_number, decays = _elementwise(self.rule), decayed(params)
        factors = pace.factors(self.rates, 1.0, params)

        def word(keys: Any, decays: bool, factor: float) -> str:
            path = trees.path_of(keys)
            alike = by_number(path) and self.layer_decay == 1
            return f"{still.stays(self.frozen, path)} {decays} {factor}" if alike else ""

        return jax.tree_util.tree_map_with_path(word, decays, factors)

    def _decay(self, steps: int) -> optax.Schedule:
        """Decay of the average by step."""
        if not self.average_to:
            return optax.constant_schedule(self.average)
        if not self.average <= self.average_to <= 1:
            raise UserError(f"optim.average_to={self.average_to} must lie between average={self.average} and 1")
        share = optax.cosine_decay_schedule(1.0, max(steps, 1))
        return lambda count: self.average_to - (self.average_to - self.average) * share(count)

    def check(self, params: Any) -> None:
        """Raises UserError where ``frozen``, ``rates`` or ``layer_decay`` is not for these parameters."""
        still.check(self.frozen, params)
        pace.check(self.rates, self.layer_decay, params)


class AverageState(NamedTuple):
    """An average of parameters and the number of steps it is over."""

    count: Any
    average: Any


def averaging(decay: optax.Schedule) -> optax.GradientTransformation:
    """Keep an exponential moving average of the parameters, of a ``decay`` by step; put it last in a chain.

    The decay ramps up as (1 + t) / (10 + t), so that the first steps do not linger.
    """

    def init(params: Any) -> AverageState:
        return AverageState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AverageState]:
        rate = jnp.minimum(decay(state.count), (1 + state.count) / (10 + state.count))
        new = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda old, now: old * rate + now * (1 - rate), state.average, new)
        return updates, AverageState(state.count + 1, average)

    return optax.GradientTransformation(init, update)


def averaged(params: Any, opt_state: Any) -> Any:
    """The averaged parameters where ``opt_state`` keeps them, else ``params``."""
    kept = [s for s in jax.tree.leaves(opt_state, is_leaf=_is_average) if _is_average(s)]
    return still.whole(kept[0].average, params) if kept else params


def decayed(params: Any) -> Any:
    """Which parameters weight decay is for: kernels and embeddings, not biases, scales or positions.

    Words that training saw once or twice would otherwise keep the random vectors that they began with.
    """
    return trees.map_paths(lambda path, _: path.endswith(("kernel", "embedding")), params)


def _elementwise(rule: Any) -> Callable[[str], bool]:
    """What the rule says of itself; nothing where it builds another way than whoever said it."""
    own = next((kind for kind in type(rule).__mro__ if "build" in vars(kind)), None)
    return rule.elementwise if own is not None and "elementwise" in vars(own) else lambda path: False


def _decoupled(step: optax.GradientTransformation, decay: float, rate: optax.Schedule) -> optax.GradientTransformation:
    """A step, AdamW's weight decay, and the rate of both."""
    return optax.chain(step, optax.add_decayed_weights(decay, mask=decayed), optax.scale_by_learning_rate(rate))


def _is_average(state: Any) -> bool:
    return isinstance(state, AverageState)
