"""What a layer leaves in memory for the backward pass.

==========  ================================================  ==================================
policy      what is kept of each layer                        what the backward pass computes again
==========  ================================================  ==================================
keep        everything that the gradient reads                nothing
products    its input, and what products with its kernels     scores, softmax, norms, activations
            gave
recompute   its input (Chen et al., 2016,                     the whole layer: a third more work
            https://arxiv.org/abs/1604.06174)                 in all
offload     its input, in the host's memory                   the whole layer
==========  ================================================  ==================================

On a device whose memory is the host's, offload is recompute.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import linen
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from mmjax.core import UserError

NAMES = ("keep", "products", "recompute", "offload")
_INPUT = "layer_input"


def layer(policy: str, step: Callable[..., Any], *, looped: bool = False) -> Callable[..., Any]:
    """``step(module, values, *context)`` under the policy. looped: it is the body of a scan.

    Raises UserError for a policy that there is not.
    """
    if isinstance(policy, bool):  # as earlier runs recorded it
        policy = "recompute" if policy else "keep"
    if policy not in NAMES:
        raise UserError(f"remat is {policy!r}; it can be {', '.join(NAMES[:-1])} or {NAMES[-1]}")
    if policy == "keep":
        return step

    def named(module: Any, values: Float[Array, "b n d"], *context: Any) -> Any:
        return step(module, checkpoint_name(values, _INPUT), *context)

    # A loop's body is never merged with its recomputation, so it needs no barrier against that.
    return linen.remat(named, prevent_cse=not looped, policy=_rule(policy))


def _rule(policy: str) -> Callable[..., Any] | None:
    rules = jax.checkpoint_policies
    if policy == "products":
        return rules.dots_with_no_batch_dims_saveable
    if policy == "offload":
        return rules.save_and_offload_only_these_names(
            names_which_can_be_saved=[],
            names_which_can_be_offloaded=[_INPUT],
            offload_src="device",
            offload_dst="pinned_host",
        )
    return None
