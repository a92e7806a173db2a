"""How much better than expected what was said turned out to be: from rewards to what moves a policy. Pure functions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def paid(
    score: Float[Array, " b"],
    mask: Bool[Array, "b t"],
    *,
    own: Float[Array, "b t"],
    reference: Float[Array, "b t"],
    toll: float,
) -> Float[Array, "b t"]:
    """A reward for each word: ``-toll * (own - reference)``, log-probabilities both, and at an answer's last the score.

    So the policy pays, word by word, for leaving the reference (Ouyang et al., 2022,
    https://arxiv.org/abs/2203.02155).
    """
    last = mask & (jnp.cumsum(mask[:, ::-1], axis=1)[:, ::-1] == 1)
    tolls = jnp.where(mask, toll * (own - reference), 0)
    return jnp.where(last, score[:, None], 0) - tolls


def generalized(
    rewards: Float[Array, "b t"],
    values: Float[Array, "b t"],
    mask: Bool[Array, "b t"],
    *,
    gamma: float = 1.0,
    trace: float = 0.95,
) -> Float[Array, "b t"]:
    """Generalized advantage estimates (Schulman et al., 2016, https://arxiv.org/abs/1506.02438), 0 where masked.

    values: what was expected before each word. What is masked is as if it were not there; after a row's last word
    nothing is expected. Estimates plus values are the returns that values are to learn.
    """

    def back(later: tuple[Array, Array], here: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Array]:
        expected, estimate = later
        reward, value, real = here
        found = reward + gamma * expected - value + gamma * trace * estimate
        return (jnp.where(real, value, expected), jnp.where(real, found, estimate)), jnp.where(real, found, 0)

    rewards, values = jnp.where(mask, rewards, 0), jnp.where(mask, values, 0)
    nothing = jnp.zeros_like(rewards[:, 0])
    _, found = jax.lax.scan(back, (nothing, nothing), (rewards.T, values.T, mask.T), reverse=True)
    return found.T


def whitened(values: Float[Array, "b t"], mask: Bool[Array, "b t"]) -> Float[Array, "b t"]:
    """With mean 0 and deviation 1 over all that is not masked."""
    count = jnp.maximum(jnp.sum(mask), 1)
    values = jnp.where(mask, values, 0)
    mean = jnp.sum(values) / count
    spread = jnp.sum(jnp.where(mask, jnp.square(values - mean), 0)) / count
    return jnp.where(mask, (values - mean) * jax.lax.rsqrt(spread + 1e-8), 0)


def grouped(rewards: Float[Array, " b"], group: int, *, scaled: bool = True) -> Float[Array, " b"]:
    """Rewards against the mean of their group, ``group`` rows in succession that answer one prompt.

    scaled: over the group's deviation, too, plus 1e-4 (GRPO, Shao et al., 2024, https://arxiv.org/abs/2402.03300).
    Without, prompts that are nearly always or hardly ever answered right get no more heed than others (Dr. GRPO, Liu
    et al., 2025, https://arxiv.org/abs/2503.20783).
    """
    each = rewards.reshape(-1, group)
    found = each - jnp.mean(each, axis=1, keepdims=True)
    if scaled:
        found /= jnp.std(each, axis=1, keepdims=True) + 1e-4
    return found.reshape(-1)
