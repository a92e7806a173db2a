"""A GPT that talks about what encoders give."""

from collections.abc import Mapping
from dataclasses import field

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Int

from mmjax.core import Outputs, Signal, Tokens, UserError, masks
from mmjax.decoders.around import Around
from mmjax.decoders.gpt import GPT


class Talker(Around, linen.Module):
    """Each modality through its encoder and its bridge, if it has one, to a decoder that reads a text.

    ================ ========================= =====================================================================
    way in           bridges                   the decoder
    ================ ========================= =====================================================================
    LLaVA            ``decoders.Projector``    a plain one: what the bridges give stands in the text
    BLIP-2           ``decoders.Queries``      likewise
    late fusion      ``decoders.Mean``         likewise, a token of each modality
    Flamingo         ``decoders.Latents``      ``cross=n, cross_gate=True``: every n-th layer looks at all of it
    encoder-decoder  none                      ``cross=1``, as Whisper and the first transformers
    ================ ========================= =====================================================================

    In the text an id of -(1 + i) is no word but a place for one token of the i-th modality, in the order of names.
    Places of a modality are filled in turn with its tokens, so pictures and recordings stand anywhere, and words see
    those that stand before them; where a row has several texts about the same things, as segments, in each of them. A
    place without a token is masked, as all of them are where the modality is absent; what follows it is what follows
    the word before.
    To a decoder with ``cross`` places are nothing: each word sees all that there is (Flamingo's sees the last picture
    before it).

    Several pictures or recordings at once are modalities each, that share an encoder and a bridge: with
    ``alike={"second": "image"}`` the second goes the way of the image, to places of its own.

    LLaVA learns in two stages (Liu et al., 2023, https://arxiv.org/abs/2304.08485), beside a tower and a decoder that
    come from elsewhere: first the bridge alone, ``Optim(frozen=("^(encoders_image|decoder)/",))``, then the decoder,
    too, ``Optim(frozen=("^encoders_image/",))`` with ``init_from`` the first run's folder.

    Modalities that are left out are as if masked. Initialise with all of them. ``streams`` of what comes out are what
    the decoder was given.

    These ways are published ones. OpenAI has published no architecture of GPT-4V or its successors, so none is here.

    Raises UserError for packed rows of another modality, for bridges and likenesses without an encoder, for fusions
    with a name that is taken, and where tokens have not the decoder's width.
    """

    encoders: Mapping[str, linen.Module]
    decoder: GPT
    bridges: Mapping[str, linen.Module] = field(default_factory=dict)
    alike: Mapping[str, str] = field(default_factory=dict)
    fused: Mapping[str, linen.Module] = field(default_factory=dict)

    def __call__(self, inputs: Mapping[str, Signal], *, train: bool, slots: int = 0) -> Outputs:
        """slots: as of ``GPT``, whose cache then holds what the decoder was given, too: it is given once."""
        signal = jax.tree.map(jnp.asarray, inputs[self.stream])
        given = self.given(inputs, train=train)
        memory = _joined(given) if self.decoder.cross and given else None
        filled = None if self.decoder.cross else self._filled(signal, given)
        real = signal.mask & (signal.values >= 0)
        real = real if filled is None else real | filled.mask
        words = signal.replace(values=jnp.maximum(signal.values, 0), mask=real)
        tokens = self.decoder.embedded(words, train=train, filled=filled)
        out = self.decoder.continued(tokens, train=train, slots=slots, memory=memory)
        said = out.heads[self.head]
        said = said.replace(features=_carried(said.features, real, signal))
        return out.replace(streams={**given, **out.streams}, heads={**out.heads, self.head: said})

    def given(self, inputs: Mapping[str, Signal], *, train: bool) -> dict[str, Tokens]:
        """What the decoder is given of each modality."""
        self._check_names()
        given, streams = {}, {}
        for name in sorted({*self.encoders, *self.alike} & set(inputs)):
            way = self.alike.get(name, name)
            streams[name] = self.encoders[way](inputs[name], train=train)
            masks.unpacked(streams[name], of="decoders.Talker")
            given[name] = self.bridges[way](streams[name], train=train) if way in self.bridges else streams[name]
        return given | {name: fuse(streams, train=train) for name, fuse in self.fused.items() if streams}

    def _filled(self, signal: Signal, given: Mapping[str, Tokens]) -> Tokens:
        """At each place of the text the token that it is for; masked at words, and where there is none."""
        values = jnp.zeros((*signal.mask.shape, self.decoder.width), jnp.dtype(self.decoder.dtype))
        mask = jnp.zeros(signal.mask.shape, bool)
        for number, name in enumerate(self._names):
            if name in given:
                self._check(name, given[name])
                own, here = _placed(signal, given[name], -(1 + number))
                values, mask = jnp.where(here[..., None], own.astype(values.dtype), values), mask | here
        return Tokens(values, mask)

    @property
    def _names(self) -> list[str]:
        """All that is given, in the order of places."""
        return sorted({*self.encoders, *self.alike, *self.fused})

    def _check_names(self) -> None:
        known = ", ".join(self.encoders)
        for name in sorted(set(self.bridges) - set(self.encoders)):
            raise UserError(f"bridges have {name!r}, which has no encoder; there are {known}")
        for name, way in sorted(self.alike.items()):
            if way not in self.encoders or name in self.encoders:
                raise UserError(f"alike={{{name!r}: {way!r}}} must take a name without an encoder to one with: {known}")
        for name in sorted(set(self.fused) & {*self.encoders, *self.alike}):
            raise UserError(f"fused={{{name!r}: ...}} must have a name of its own; there are {known}")

    def _check(self, name: str, tokens: Tokens) -> None:
        if tokens.values.shape[-1] != self.decoder.width:
            raise UserError(
                f"tokens of {name!r} are {tokens.values.shape[-1]} wide, words {self.decoder.width}; "
                f"give it a bridge, as decoders.Projector({self.decoder.width})"
            )


def _placed(signal: Signal, tokens: Tokens, place: int) -> tuple[Array, Array]:
    """``b n d``: the n-th token at the n-th such place of a text; ``b n``: whether there is one."""
    own = signal.mask & (signal.values == place)
    numbers: Int[Array, "b n"] = jnp.cumsum(own, axis=1) - 1
    if signal.segments is not None:
        begins = jnp.diff(signal.segments, axis=1, prepend=0) != 0
        numbers -= jax.lax.cummax(jnp.where(begins, numbers + 1 - own, 0), axis=1)
    count = tokens.mask.shape[1]
    at = jnp.clip(numbers, 0, count - 1)
    values = jnp.take_along_axis(masks.zeroed(tokens.values, tokens.mask), at[..., None], axis=1)
    return values, own & (numbers < count) & jnp.take_along_axis(tokens.mask, at, axis=1)


def _carried(features: Array, real: Array, text: Signal) -> Array:
    """``b n d``: at each place that is nothing what stands at the last real token of its text before it, if any."""
    last = jax.lax.cummax(jnp.where(real, jnp.arange(real.shape[1]), -1), axis=1)
    nothing, last = text.mask & ~real & (last >= 0), jnp.maximum(last, 0)
    if text.segments is not None:
        nothing &= text.segments == jnp.take_along_axis(text.segments, last, axis=1)
    before = jnp.take_along_axis(features, last[..., None], axis=1)
    return jnp.where(nothing[..., None], before, features)


def _joined(given: Mapping[str, Tokens]) -> Tokens:
    """All that is given, one modality after the other."""
    every = [given[name] for name in sorted(given)]
    widths = {name: given[name].values.shape[-1] for name in sorted(given)}
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise UserError(f"tokens are not equally wide ({told}); give them bridges to one width")
    values = jnp.concatenate([tokens.values for tokens in every], axis=1)
    return Tokens(values, jnp.concatenate([tokens.mask for tokens in every], axis=1))
