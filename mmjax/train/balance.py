"""Keeping modalities in balance: what becomes of the gradients of a step before the optimizer sees them.

A modality is known by the objectives that have it as ``stream``, each of them over a head that reads this stream
alone; its parameters are those of its encoder, ``encoders_NAME``. Objectives without a stream are everyone's. An
experiment without a balance takes the gradient of the sum.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mmjax.core import Batch, Mean, UserError

Losses = Callable[[Any], tuple[dict[str, jax.Array], Any]]  # parameters to weighted losses by objective, and outputs
Balanced = tuple[Any, Any, dict[str, jax.Array]]  # gradients, outputs, and figures for the log


@dataclass(frozen=True)
class Modulation:
    """On-the-fly gradient modulation (OGM-GE, Peng et al., 2022, https://arxiv.org/abs/2203.15332).

    Where one modality is surer of the truth than the others, the gradients of its encoder are made smaller, by
    1 - tanh(alpha * ratio), with the ratio of its mean probability of the truth to that of the others (their mean,
    where there are several; one that no row of the batch has is no other). ``noise``: gradients of encoders get
    Gaussian noise of their own standard deviation, array by array. Heads are asked as they are; give them ``apart``
    where their own losses are not to train the encoders, as in the paper. An optimizer that divides by the size of
    the gradients undoes a lasting factor: the paper's is ``Sgd``.
    """

    alpha: float = 0.3
    noise: bool = True

    def __call__(
        self, losses: Losses, params: Any, *, objectives: Mapping[str, Any], batch: Batch, key: jax.Array
    ) -> Balanced:
        def total(params: Any) -> tuple[jax.Array, Any]:
            parts, rest = losses(params)
            return jnp.asarray(sum(parts.values())), rest

        grads, rest = jax.grad(total, has_aux=True)(params)
        sure = {
            stream: [objectives[name].confidence(rest.outputs, batch) for name in names]
            for stream, names in streams(objectives).items()
        }
        figures = {}
        for i, stream in enumerate(sure):
            ratio = _ratio(sure[stream], [found for other, found in sure.items() if other != stream])
            factor = jnp.where(ratio > 1, 1 - jnp.tanh(self.alpha * ratio), 1.0)
            figures[f"balance/{stream}"] = factor
            noise_key = jax.random.fold_in(key, i) if self.noise else None
            grads = {**grads, encoder(stream): _modulated(grads[encoder(stream)], factor, noise_key)}
        return grads, rest, figures

    def check(self, objectives: Mapping[str, Any], params: Any) -> None:
        """Raises UserError where these objectives or parameters cannot be balanced."""
        _check(objectives, params, least=2)
        for names in streams(objectives).values():
            for name in names:
                if not hasattr(objectives[name], "confidence"):
                    raise UserError(f"balance: objectives.{name} is not about one of several classes")


@dataclass(frozen=True)
class Pareto:
    """Joint and unimodal losses without conflict (MMPareto, Wei and Hu, 2024, https://arxiv.org/abs/2405.17730).

    For every encoder, the gradient of the joint losses and that of its own are added up where they agree. Where
    they point apart, the shortest vector between them is taken, which descends on both, no shorter than
    their sum would be. Then it is made ``scale`` times as long, for the noise that helps to generalise.
    """

    scale: float = 1.5

    def __call__(
        self, losses: Losses, params: Any, *, objectives: Mapping[str, Any], batch: Batch, key: jax.Array
    ) -> Balanced:
        parts, pull, rest = jax.vjp(losses, params, has_aux=True)

        def gradient(names: list[str]) -> Any:
            return pull({name: jnp.full_like(part, name in names) for name, part in parts.items()})[0]

        own = streams(objectives)
        alone = {name for names in own.values() for name in names}
        grads = joint = gradient([name for name in parts if name not in alone])
        figures = {}
        for stream, names in own.items():
            mine = gradient(names)
            grads = jax.tree.map(jnp.add, grads, mine)
            found, share = _common(joint[encoder(stream)], mine[encoder(stream)], self.scale)
            figures[f"balance/{stream}"] = share
            joint = {**joint, encoder(stream): found}
        return {**grads, **{encoder(stream): joint[encoder(stream)] for stream in own}}, rest, figures

    def check(self, objectives: Mapping[str, Any], params: Any) -> None:
        """Raises UserError where these objectives or parameters cannot be balanced."""
        _check(objectives, params, least=1)
        if all(_stream(objective) for objective in objectives.values()):
            raise UserError("balance: all objectives are of one stream; there is none for the streams together")


def streams(objectives: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of each modality's own objectives, in the order of the modalities' names."""
    found: dict[str, list[str]] = {}
    for name, objective in objectives.items():
        if _stream(objective):
            found.setdefault(_stream(objective), []).append(name)
    return dict(sorted(found.items()))


def encoder(stream: str) -> str:
    """Where the parameters of a modality's encoder are."""
    return f"encoders_{stream}"


def _stream(objective: Any) -> str:
    return getattr(objective, "stream", "")


def _ratio(own: Sequence[Mean], others: Sequence[Sequence[Mean]]) -> jax.Array:
    """How much surer a stream is than those of the others that the batch has; 0 where it has none of them."""
    sure, *rest = (sum(mean.value() for mean in found) / len(found) for found in (own, *others))
    here = jnp.stack([jnp.any(jnp.stack([mean.count for mean in found]) > 0) for found in others])
    known = Mean.of(jnp.stack(rest), here)
    return jnp.where(known.count > 0, sure / jnp.maximum(known.value(), 1e-6), 0.0)


def _modulated(grads: Any, factor: jax.Array, key: jax.Array | None) -> Any:
    if key is None:
        return jax.tree.map(lambda g: g * factor, grads)
    leaves, tree = jax.tree.flatten(grads)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        tree,
        [g * factor + jnp.std(g) * jax.random.normal(k, g.shape, g.dtype) for g, k in zip(leaves, keys, strict=True)],
    )


def _common(joint: Any, alone: Any, scale: float) -> tuple[Any, jax.Array]:
    """The direction for both, and the share of the joint gradient in it."""
    difference = optax.tree.sub(alone, joint)
    apart = jnp.maximum(jnp.asarray(optax.tree.vdot(difference, difference)), 1e-30)
    shortest = jnp.clip(jnp.asarray(optax.tree.vdot(difference, alone)) / apart, 0.0, 1.0)
    share = jnp.where(jnp.asarray(optax.tree.vdot(joint, alone)) >= 0, 0.5, shortest)
    mixed = jax.tree.map(lambda g, h: 2 * share * g + 2 * (1 - share) * h, joint, alone)
    whole, length = optax.tree.norm(optax.tree.add(joint, alone)), optax.tree.norm(mixed)
    stretch = scale * jnp.maximum(whole / jnp.maximum(length, 1e-12), 1.0)
    return optax.tree.scale(stretch, mixed), share


def _check(objectives: Mapping[str, Any], params: Any, *, least: int) -> None:
    found = streams(objectives)
    if len(found) < least:
        raise UserError(
            f"balance: objectives of {least} streams or more are wanted, as CrossEntropy(target, head=..., stream=...) "
            f"over a head with that stream; there are {', '.join(found) or 'none'}"
        )
    for stream in found:
        if encoder(stream) not in params:
            raise UserError(f"balance: the model has no encoder of stream {stream!r}")
