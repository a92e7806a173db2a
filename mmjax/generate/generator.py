"""From texts to texts."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mmjax.core import Signal, UserError
from mmjax.data import given as parts
from mmjax.data.fields.field import Field
from mmjax.generate.beam import Beams
from mmjax.generate.choice import Choice
from mmjax.generate.decoder import Decoder
from mmjax.train.folder import Folder

_HALF = "\ufffd"  # what a part of a character decodes to


@dataclasses.dataclass(frozen=True)
class Said:
    """A prompt's continuation. ended: by its "end", by a "stop" string, which is left out, or at its "length"."""

    prompt: str
    text: str
    tokens: int
    ended: str


class Generator:
    """A trained GPT, or a model that talks about other things, with its tokenizer.

    Called with one prompt or several, of any lengths, it continues them all at once. The cache of keys and values has
    ``slots`` places a row (0: the model's context). A text that outgrows them goes on from its own last half; beside
    other things it ends there, as these stood at its beginning.

    fields: those of the other modalities, by name. prompted: how a prompt becomes ids, where the tokenizer alone does
    not tell, as with a template (``fields.Prompt``).
    """

    def __init__(
        self, model: Any, weights: Any, tokenizer: Any, *, slots: int = 0, fields: Mapping[str, Field] | None = None,
        prompted: Callable[[str], np.ndarray] | None = None,
    ):  # fmt: skip
        self.tokenizer, self.decoder = tokenizer, Decoder(model, weights, slots=slots)
        self.fields, self._prompted = dict(fields or {}), prompted or tokenizer.encode
        self._beams: dict[int, Beams] = {}

    @classmethod
    def load(cls, workdir: str | os.PathLike[str], *, slots: int = 0, allow: tuple[type, ...] = ()) -> "Generator":
        """The generator of the run in ``workdir``. Raises UserError where there is none, or it learned no words."""
        folder = Folder(Path(workdir), allow)
        model, schema = folder.experiment().model, folder.schema()
        field = schema.inputs.get(getattr(model, "stream", ""))
        if not hasattr(field, "tokenizer"):  # of a model without words of its own there is no such field
            raise UserError(f"{workdir} is no run of a model that continues texts; use `mmjax predict`")
        others = {name: other for name, other in schema.inputs.items() if name != model.stream}
        prompted = getattr(field, "prompted", None)
        return cls(model, folder.weights(), field.tokenizer, slots=slots, fields=others, prompted=prompted)

    def __call__(
        self, prompts: str | Sequence[str], *, tokens: int = 200, how: Choice | None = None, stop: Sequence[str] = (),
        beams: int = 0, seed: int = 0, tell: Callable[[int, str], None] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> list[Said]:  # fmt: skip
        """Continuations of at most ``tokens`` tokens, in the order of the prompts.

        given: by modality what goes with all prompts, as a path or cells by column, or a list with one for each.
        stop: strings at the first of which a text ends. beams: search with so many, instead of choosing by ``how``.
        tell: called with a prompt's number and each piece of its text as soon as it is sure.
        """
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        if tokens < 1 or any(not text for text in stop):
            raise UserError(f"tokens={tokens} must be 1 or more, and no stop string empty")
        ids, inputs = [self._encoded(prompt) for prompt in prompts], self._inputs(given or {}, len(prompts))
        rows = [_Row(i, self.tokenizer, stop, tell) for i in range(len(prompts))]
        if beams:
            search = self._beams.setdefault(beams, Beams(self.decoder, beams))
            for i, (prompt, row) in enumerate(zip(ids, rows, strict=True)):
                own = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], inputs)
                found = search(prompt, tokens=tokens, end=self.tokenizer.end, inputs=own)
                for word in found if len(found) == tokens else [*found, self.tokenizer.end]:
                    row.add(word)
        else:
            self._continue(ids, inputs, rows, tokens, how or Choice(), seed)
        return [
            Said(prompt, row.finish(), len(row.ids), row.ended or "length")
            for prompt, row in zip(prompts, rows, strict=True)
        ]

    def warm(self, rows: int = 1, how: Choice | None = None) -> int:
        """Compile what any prompt may need, for so many rows; how many programs there are."""
        length = 1
        while True:
            state = self.decoder.begin([[0] * length] * rows, how or Choice(), inputs=self._inputs({}, rows))
            if self.decoder.bucket(length) == self.decoder.slots:
                break
            length = self.decoder.bucket(length) + 1
        self.decoder.step(state, how or Choice())
        return self.decoder.compilations()

    def _encoded(self, prompt: str) -> list[int]:
        """Its ids, of which the last fit the slots; an empty prompt is the end of the text before."""
        if any("\ud800" <= letter <= "\udfff" for letter in prompt):
            raise UserError("a prompt holds half a character (a lone surrogate); it must be UTF-8")
        ids = self._prompted(prompt).tolist() or [self.tokenizer.end]
        if self.fields and len(ids) > self.decoder.slots:
            raise UserError(f"a prompt of {len(ids)} tokens does not fit the model's context of {self.decoder.slots}")
        return ids[-self.decoder.slots :]

    def _inputs(self, given: Mapping[str, Any], prompts: int) -> dict[str, Signal]:
        """The other modalities of each prompt; what is not given is masked."""
        each = {}
        for name, values in given.items():
            each[name] = list(values) if isinstance(values, list | tuple) else [values]
            if len(each[name]) not in (1, prompts):
                found = f"{name} is given {len(each[name])} times for {prompts} prompts"
                raise UserError(f"{found}; give it once, or once for each")
        own = [{name: values[i % len(values)] for name, values in each.items()} for i in range(prompts)]
        return parts.signals(self.fields, [parts.row(self.fields, one) for one in own])

    def _continue(
        self, texts: list[list[int]], inputs: Any, rows: list["_Row"], tokens: int, how: Choice, seed: int
    ) -> None:
        state = self.decoder.begin(texts, how, seed=seed, inputs=inputs)
        held = max(map(len, texts))  # slots taken in the fullest row
        for said in range(1, tokens + 1):
            for row, text, word in zip(rows, texts, np.asarray(state["ids"]).tolist(), strict=True):
                text.append(word)
                row.add(word)
            if said == tokens or all(row.ended for row in rows):
                return
            if held < self.decoder.slots:
                state, held = self.decoder.step(state, how), held + 1
            elif self.fields:
                return
            else:
                texts = [text[-max(1, self.decoder.slots // 2) :] for text in texts]
                state = self.decoder.begin(texts, how, seed=seed, said=said)
                held = max(map(len, texts))


class _Row:
    """One text as it grows."""

    def __init__(self, number: int, tokenizer: Any, stop: Sequence[str], tell: Callable[[int, str], None] | None):
        self.ids: list[int] = []
        self.ended = ""
        self._number, self._tokenizer, self._stop, self._tell = number, tokenizer, tuple(stop), tell
        self._text, self._told = "", 0

    def add(self, word: int) -> None:
        """One word more, unless the text has ended."""
        if self.ended:
            return
        if word == self._tokenizer.end:
            self.ended = "end"
            return
        self.ids.append(word)
        self._text = self._tokenizer.decode(self.ids)
        found = [at for stop in self._stop if (at := self._text.find(stop)) >= 0]
        if found:
            self._text, self.ended = self._text[: min(found)], "stop"
        self._say(len(self._text) if self.ended else self._sure())

    def finish(self) -> str:
        """The whole text, all of it told."""
        self._say(len(self._text))
        return self._text

    def _sure(self) -> int:
        """How much of the text will stay, whatever follows: no half characters, no beginning of a stop string."""
        sure = len(self._text.rstrip(_HALF))
        for stop in self._stop:
            for size in range(1, len(stop)):
                if self._text.endswith(stop[:size]):
                    sure = min(sure, len(self._text) - size)
        return sure

    def _say(self, until: int) -> None:
        if self._tell is not None and until > self._told:
            self._tell(self._number, self._text[self._told : until])
            self._told = until
