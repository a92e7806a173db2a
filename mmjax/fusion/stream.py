"""Streams of tokens on their way into a fusion, and out of it."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Int

from mmjax import nn
from mmjax.core import Tokens, UserError, masks


def projected(streams: Mapping[str, Tokens], *, width: int, dtype: str) -> dict[str, Tokens]:
    """Every stream in ``width``, by the layer of its own that the calling module holds; in the order of names."""
    return {
        name: streams[name].replace(
            values=nn.embed.project(width, stream=name, dtype=dtype)(
                masks.zeroed(streams[name].values, streams[name].mask)
            )
        )
        for name in sorted(streams)
    }


def joined(parts: Sequence[Tokens]) -> Tokens:
    """One after the other. Where any is packed all are, and an unpacked one is of the first segment."""
    packed = any(part.segments is not None for part in parts)
    return Tokens(
        jnp.concatenate([part.values for part in parts], axis=1),
        jnp.concatenate([part.mask for part in parts], axis=1),
        jnp.concatenate([_segments(part) for part in parts], axis=1) if packed else None,
    )


def others(streams: Mapping[str, Tokens], name: str) -> Tokens | None:
    """All streams but one, in the order of names; None where there are no others."""
    rest = [streams[other] for other in sorted(streams) if other != name]
    return joined(rest) if rest else None


def listeners(module: linen.Module, streams: Mapping[str, Tokens], main: str) -> dict[str, Tokens]:
    """The streams that are to hear the others: each of them, or ``main`` alone.

    ``main`` gets one token more, which ``module`` learns, so that the others are heard where it is absent.
    Raises UserError where no stream has that name, or where rows are packed: the token would stand for one example.
    """
    if not main:
        return {name: streams[name] for name in sorted(streams)}
    if main not in streams and module.is_initializing():
        raise UserError(f"main={main!r} names no stream; there are {', '.join(sorted(streams))}")
    unpacked(streams, f"fusion.{type(module).__name__}(main={main!r})")
    here = anyone(streams)[:, None]
    some = next(iter(streams.values())).values
    seat = module.param("seat", linen.initializers.normal(0.5), (some.shape[-1],)).astype(some.dtype)
    token = Tokens(jnp.broadcast_to(seat, (len(some), 1, len(seat))), here)
    return {main: joined([streams[main], token]) if main in streams else token}


def anyone(streams: Mapping[str, Tokens]):
    """Whether a row has any stream at all: ``b``."""
    return jnp.any(jnp.stack([masks.present(streams[name].mask) for name in sorted(streams)]), axis=0)


def unpacked(streams: Mapping[str, Tokens], who: str) -> None:
    """Raises UserError where several examples share a row."""
    if any(part.segments is not None for part in streams.values()):
        raise UserError(f"{who} takes one example a row; use fusion.Joint for packed rows")


def _segments(tokens: Tokens) -> Int[Array, "b n"]:
    return tokens.mask.astype(jnp.int32) if tokens.segments is None else tokens.segments
