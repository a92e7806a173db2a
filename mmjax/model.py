"""The multimodal network: encoders, a fusion, heads."""

from collections.abc import Mapping

from flax import linen

from mmjax.core import Outputs, Signal


class Multimodal(linen.Module):
    """Each modality through its encoder, all streams through the fusion, what comes out to every head.

    Any subset of the encoders' modalities may be given: an absent one and a wholly masked one are
    the same. Initialise with all of them, so that every parameter is made.
    """

    encoders: Mapping[str, linen.Module]
    fusion: linen.Module
    heads: Mapping[str, linen.Module]

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool) -> Outputs:
        streams = {
            name: encoder(inputs[name], train=train) for name, encoder in self.encoders.items() if name in inputs
        }
        fused = self.fusion(streams, train=train)
        heads = {name: head(fused, train=train) for name, head in self.heads.items()}
        return Outputs(streams=streams, fused=fused, heads=heads)
