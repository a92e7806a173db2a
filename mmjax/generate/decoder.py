"""What is compiled to decode: a prefill for each length bucket and one step."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.core import Signal, UserError
from mmjax.generate import choice
from mmjax.generate.choice import Choice, Kind

_SHORTEST = 16  # tokens of the smallest bucket


class Decoder:
    """A GPT's weights and its compiled functions. ``slots``: how many tokens a row may have, prompt and all.

    The model is called as ``decoders.GPT``, or as ``decoders.Talker`` with ``inputs`` that go with the prompts: these
    are read once, with them, and the cache has all that later words may look at. A row is continued in the same way
    whatever other rows there are: what is drawn for it depends on the seed, its place among the rows and how many words
    it was given.
    """

    def __init__(self, model: Any, weights: Mapping[str, Any], *, slots: int = 0):
        self.model, self.slots = model, slots or model.length
        if self.slots > model.length and getattr(model, "positions", "") != "rotary":
            raise UserError(f"slots={self.slots} are more than the {model.length} positions that the model knows")
        self.weights = weights
        # Kept from one call to the next are what was compiled and the weights; caches belong to a call.
        self._prefill = jax.jit(self._prefilled, static_argnames="kind")
        self._step = jax.jit(self._stepped, static_argnames="kind", donate_argnames="state")

    def bucket(self, length: int) -> int:
        """To how many tokens a prompt is filled up."""
        size = _SHORTEST
        while size < length:
            size *= 2
        return min(size, self.slots)

    def begin(
        self, prompts: Sequence[Sequence[int]], how: Choice, *, seed: int = 0, said: int = 0,
        inputs: Mapping[str, Signal] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The state after the prompts, whose ``ids`` are each row's next word. Raises UserError for an empty prompt.

        said: how many words were drawn before, where a text that outgrew the slots begins anew. inputs: other
        modalities, a row for each prompt.
        """
        lengths = np.array([len(prompt) for prompt in prompts], np.int32)
        if not len(lengths) or lengths.min() < 1 or lengths.max() > self.slots:
            raise UserError(f"prompts must have 1 to {self.slots} tokens, not {sorted(set(lengths.tolist()))}")
        ids = np.zeros((len(prompts), self.bucket(int(lengths.max()))), np.int32)
        for row, prompt in zip(ids, prompts, strict=True):
            row[: len(prompt)] = prompt
        given = {"ids": ids, "lengths": lengths, "said": np.int32(said), "seed": np.uint32(seed)}
        given["inputs"] = dict(inputs or {})
        return self._prefill(self.weights, given, how.numbers(), kind=how.kind)

    def step(self, state: dict[str, Any], how: Choice) -> dict[str, Any]:
        """The state with one word more. The old one is gone."""
        return self._step(self.weights, state, how.numbers(), kind=how.kind)

    def compilations(self) -> int:
        """How many programs were compiled so far."""
        return self._prefill._cache_size() + self._step._cache_size()  # pyright: ignore[reportAttributeAccessIssue]

    def read(
        self, weights: Any, kept: Any, signal: Signal, last: Any, inputs: Mapping[str, Signal] | None = None
    ) -> tuple[Any, Any]:
        """Logits ``b k`` after each row's token number ``last``, and the cache with these tokens in it."""
        everything = {**(inputs or {}), self.model.stream: signal}
        own = {"train": False, "slots": self.slots, "mutable": ["cache"]}
        out, kept = self.model.apply({**weights, **kept}, everything, **own)
        said = out.heads[self.model.head]
        features = jnp.take_along_axis(said.features, last[:, None, None], axis=1)[:, 0]
        kernel = said.kernel.astype(features.dtype)
        return jnp.einsum("bd,dk->bk", features, kernel, preferred_element_type=jnp.float32), kept

    def _prefilled(self, weights: Any, given: dict[str, Any], numbers: dict[str, Any], kind: Kind) -> dict[str, Any]:
        ids, lengths = given["ids"], given["lengths"]
        mask = jnp.arange(ids.shape[1]) < lengths[:, None]
        logits, kept = self.read(weights, {}, Signal(ids, mask), lengths - 1, given["inputs"])
        seen = None
        if kind.remembers:
            rows = jnp.arange(len(ids))[:, None]
            words = jnp.where(mask & (ids >= 0), ids, logits.shape[1])  # padding is no word, nor is a place
            seen = jnp.zeros(logits.shape, bool).at[rows, words].set(True, mode="drop")
        state = {"kept": kept, "positions": lengths, "said": given["said"], "seed": given["seed"], "seen": seen}
        return self._with_word(state, logits, numbers, kind)

    def _stepped(self, weights: Any, state: dict[str, Any], numbers: dict[str, Any], kind: Kind) -> dict[str, Any]:
        places = state["positions"][:, None]
        signal = Signal(state["ids"][:, None], jnp.ones(places.shape, bool), positions=places)
        logits, kept = self.read(weights, state["kept"], signal, jnp.zeros(len(places), jnp.int32))
        state = {**state, "kept": kept, "positions": state["positions"] + 1}
        return self._with_word(state, logits, numbers, kind)

    def _with_word(self, state: dict[str, Any], logits: Any, numbers: dict[str, Any], kind: Kind) -> dict[str, Any]:
        rows = jnp.arange(len(logits))
        keys = None
        if kind.draws:
            key = jax.random.fold_in(jax.random.key(state["seed"]), state["said"])
            keys = jax.vmap(functools.partial(jax.random.fold_in, key))(rows)
        ids = choice.chosen(logits, state["seen"], numbers, keys, kind)
        seen = state["seen"].at[rows, ids].set(True) if kind.remembers else None
        return {**state, "ids": ids, "seen": seen, "said": state["said"] + 1}
