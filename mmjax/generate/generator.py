"""From texts to texts."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmjax.core import UserError
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
    """A trained GPT with its tokenizer.

    Called with one prompt or several, of any lengths, it continues them all at once. The cache of keys and values has
    ``slots`` places a row (0: the model's context). A text that outgrows them goes on from its own last half.
    """

    def __init__(self, model: Any, weights: Any, tokenizer: Any, *, slots: int = 0):
        self.tokenizer, self.decoder = tokenizer, Decoder(model, weights, slots=slots)
        self._beams: dict[int, Beams] = {}

    @classmethod
    def load(cls, workdir: str | os.PathLike[str], *, slots: int = 0, allow: tuple[type, ...] = ()) -> "Generator":
        """The generator of the run in ``workdir``. Raises UserError where there is none, or it learned no words."""
        folder = Folder(Path(workdir), allow)
        model, schema = folder.experiment().model, folder.schema()
        field = schema.inputs.get(getattr(model, "stream", ""))
        if not hasattr(model, "continued") or not hasattr(field, "tokenizer"):
            raise UserError(f"{workdir} is no run of a model that continues texts; use `mmjax predict`")
        return cls(model, folder.weights(), field.tokenizer, slots=slots)

    def __call__(
        self, prompts: str | Sequence[str], *, tokens: int = 200, how: Choice | None = None, stop: Sequence[str] = (),
        beams: int = 0, seed: int = 0, tell: Callable[[int, str], None] | None = None,
    ) -> list[Said]:  # fmt: skip
        """Continuations of at most ``tokens`` tokens, in the order of the prompts.

        stop: strings at the first of which a text ends. beams: search with so many, instead of choosing by ``how``.
        tell: called with a prompt's number and each piece of its text as soon as it is sure.
        """
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        if tokens < 1 or any(not text for text in stop):
            raise UserError(f"tokens={tokens} must be 1 or more, and no stop string empty")
        given = [self._encoded(prompt) for prompt in prompts]
        rows = [_Row(i, self.tokenizer, stop, tell) for i in range(len(prompts))]
        if beams:
            search = self._beams.setdefault(beams, Beams(self.decoder, beams))
            for prompt, row in zip(given, rows, strict=True):
                found = search(prompt, tokens=tokens, end=self.tokenizer.end)
                for word in found if len(found) == tokens else [*found, self.tokenizer.end]:
                    row.add(word)
        else:
            self._continue(given, rows, tokens, how or Choice(), seed)
        return [
            Said(prompt, row.finish(), len(row.ids), row.ended or "length")
            for prompt, row in zip(prompts, rows, strict=True)
        ]

    def warm(self, rows: int = 1, how: Choice | None = None) -> int:
        """Compile what any prompt may need, for so many rows; how many programs there are."""
        length = 1
        while True:
            state = self.decoder.begin([[0] * length] * rows, how or Choice())
            if self.decoder.bucket(length) == self.decoder.slots:
                break
            length = self.decoder.bucket(length) + 1
        self.decoder.step(state, how or Choice())
        return self.decoder.compilations()

    def _encoded(self, prompt: str) -> list[int]:
        """Its ids, of which the last fit the slots; an empty prompt is the end of the text before."""
        ids = self.tokenizer.encode(prompt).tolist() or [self.tokenizer.end]
        return ids[-self.decoder.slots :]

    def _continue(self, given: list[list[int]], rows: list["_Row"], tokens: int, how: Choice, seed: int) -> None:
        texts = [list(ids) for ids in given]
        state = self.decoder.begin(texts, how, seed=seed)
        held = max(map(len, texts))  # slots taken in the fullest row
        for said in range(1, tokens + 1):
            for row, text, word in zip(rows, texts, np.asarray(state["ids"]).tolist(), strict=True):
                text.append(word)
                row.add(word)
            if said == tokens or all(row.ended for row in rows):
                return
            if held < self.decoder.slots:
                state, held = self.decoder.step(state, how), held + 1
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
