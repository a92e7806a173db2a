"""The multimodal network: encoders, a fusion, heads."""

from collections.abc import Mapping
from typing import Any

from flax import linen

from mmjax.core import Outputs, Signal, Tokens, UserError


class Multimodal(linen.Module):
    """Each modality through its encoder, all streams through the fusion, what comes out to every head.

    Any subset of the encoders' modalities may be given: an absent one and a wholly masked one are
    the same. Initialise with all of them, so that every parameter is made. A head with a ``stream`` reads that
    modality's tokens alone, and is silent where they are left out; one that ``listens`` is given what is fused, too.
    Raises UserError where an encoder cannot leave out tokens that are hidden (``views.Hide``).
    """

    encoders: Mapping[str, linen.Module]
    fusion: linen.Module
    heads: Mapping[str, linen.Module]

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool) -> Outputs:
        streams = {name: self._encoded(name, inputs[name], train=train) for name in self.encoders if name in inputs}
        fused = self.fusion(streams, train=train)
        read = {name: self._read(name, streams, fused) for name in self.heads}
        heads = {
            name: self.heads[name](tokens, train=train, **self._beside(name, fused))
            for name, tokens in read.items()
            if tokens is not None
        }
        return Outputs(streams=streams, fused=fused, heads=heads)

    def _read(self, head: str, streams: Mapping[str, Tokens], fused: Tokens) -> Tokens | None:
        """What a head reads; None where its stream is not given."""
        stream = getattr(self.heads[head], "stream", "")
        if stream and stream not in self.encoders:
            raise UserError(f"head {head!r} reads stream {stream!r}; there are {', '.join(sorted(self.encoders))}")
        return streams.get(stream) if stream else fused

    def _encoded(self, name: str, signal: Signal, *, train: bool) -> Tokens:
        """A modality's tokens."""
        tokens = self.encoders[name](signal, train=train)
        if signal.kept is not None and tokens.kept is None:
            own = type(self.encoders[name]).__name__
            raise UserError(f"tokens of {name!r} are hidden, but encoders.{own} cannot leave out any")
        return tokens

    def _beside(self, head: str, fused: Tokens) -> dict[str, Any]:
        """What a head is given beside what it reads."""
        own = self.heads[head]
        given: dict[str, Any] = {"memory": fused} if getattr(own, "listens", False) else {}
        if getattr(own, "tied", False) and getattr(own, "stream", ""):
            held = self.encoders[own.stream].variables["params"]  # pyright: ignore[reportAttributeAccessIssue]
            given["table"] = held.get("embed", {}).get("embedding")
        return given
