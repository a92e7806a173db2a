"""The multimodal network: encoders, a fusion, heads."""

from collections.abc import Mapping

from flax import linen

from mmjax.core import Outputs, Signal, Tokens, UserError


class Multimodal(linen.Module):
    """Each modality through its encoder, all streams through the fusion, what comes out to every head.

    Any subset of the encoders' modalities may be given: an absent one and a wholly masked one are
    the same. Initialise with all of them, so that every parameter is made. A head with a ``stream`` reads that
    modality's tokens alone, and is silent where they are left out.
    """

    encoders: Mapping[str, linen.Module]
    fusion: linen.Module
    heads: Mapping[str, linen.Module]

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool) -> Outputs:
        streams = {
            name: encoder(inputs[name], train=train) for name, encoder in self.encoders.items() if name in inputs
        }
        fused = self.fusion(streams, train=train)
        read = {name: self._read(name, streams, fused) for name in self.heads}
        heads = {name: self.heads[name](tokens, train=train) for name, tokens in read.items() if tokens is not None}
        return Outputs(streams=streams, fused=fused, heads=heads)

    def _read(self, head: str, streams: Mapping[str, Tokens], fused: Tokens) -> Tokens | None:
        """What a head reads; None where its stream is not given."""
        stream = getattr(self.heads[head], "stream", "")
        if stream and stream not in self.encoders:
            raise UserError(f"head {head!r} reads stream {stream!r}; there are {', '.join(sorted(self.encoders))}")
        return streams.get(stream) if stream else fused
