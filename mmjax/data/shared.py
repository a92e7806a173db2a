"""Examples that share rows."""

import hashlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.core import Batch, UserError
from mmjax.data import packing
from mmjax.data.arranged import Arranged
from mmjax.data.examples import Examples
from mmjax.data.joined import Joined
from mmjax.data.order import Drawn, Mixed, Packed
from mmjax.data.schema import Schema


class Shared(Arranged):
    """``examples`` of which a stream packs several into each row, at most ``most``; for all else it is they.

    How long each example is has to be known beforehand, so what is not in memory, and not in records that tell it, is
    read once as it is opened. Of a mixture each part is packed by itself, and rows of the parts are mixed.
    """

    def __init__(self, examples: Examples | Joined, schema: Schema, most: int):
        super().__init__(examples, schema)
        self._most = most
        self._fields: dict[str, Any] = dict(schema.inputs)
        parts = list(examples.parts.values()) if isinstance(examples, Joined) else [examples]
        self._packed = [self._pack(part) for part in parts]

    def order(self, seed: int) -> Packed | Mixed:
        """What a stream holds at each place: a packed row."""
        orders = [Packed(rows.numbers, rows.counts, kinds, seed) for rows, kinds, _ in self._packed]
        if isinstance(self._examples, Joined):
            return self._examples.mixed([(order, len(order)) for order in orders], seed)
        return orders[0]

    def at(self, drawn: Drawn) -> Batch:
        """The packed rows that were drawn."""
        return self.collate(self._examples.take(drawn.numbers), drawn=drawn)

    def batch(self, rows: Sequence[int] | np.ndarray, *, pad_to: int | None = None) -> Batch:
        """These examples, each in a row of its own."""
        return self.schema.batch(self._examples.take(np.asarray(rows, np.int64)), pad_to=pad_to)

    def collate(
        self,
        examples: Sequence[Mapping[str, Mapping[str, Any]]],
        *,
        pad_to: int | None = None,
        drawn: Drawn | None = None,
    ) -> Batch:
        """Examples as the rows that were ``drawn``; without these each in a row of its own."""
        if drawn is None:
            return self.schema.batch(examples, pad_to=pad_to)
        bounds = np.cumsum([0, *drawn.counts]).tolist()
        rows = [examples[start:stop] for start, stop in itertools.pairwise(bounds)]
        return self.schema.batch(
            [
                {
                    side: {name: [example[side].get(name) for example in row] for name in fields}
                    for side, fields in (("inputs", self.schema.inputs), ("targets", self.schema.targets))
                }
                for row in rows
            ]
        )

    def part(
        self, rows: Sequence[int] | np.ndarray | None = None, *, modalities: Collection[str] | None = None
    ) -> "Shared":
        """These numbers and modalities alone, packed anew."""
        kept = self.schema.inputs if modalities is None else modalities
        schema = self.schema.only(kept, reason="left out of this part")
        return Shared(self._examples.part(rows, modalities=modalities), schema, self._most)

    def notes(self) -> list[str]:
        parts = [len(rows.counts) for rows, _, _ in self._packed]
        room = np.array([field.length for field in self._fields.values()])
        full = sum(units for _, _, units in self._packed) / (sum(parts) * room)
        shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(self.schema.inputs, full, strict=True))
        return [*self._examples.notes(), f"{self.name}: packed into {sum(parts):,} rows, which are full by {shares}"]

    def fingerprint(self) -> str:
        """Another one where the examples are, or which of them share a row."""
        said = [(name, field.length, field.align) for name, field in self._fields.items()]
        digest = hashlib.sha256(repr((self._examples.fingerprint(), said, self._most)).encode())
        for rows, _, _ in self._packed:
            digest.update(rows.numbers.tobytes() + rows.counts.tobytes())
        return digest.hexdigest()[:16]

    def _pack(self, part: Examples) -> tuple[packing.Rows, np.ndarray, np.ndarray]:
        """A part's rows, what kind of length each example has, and units of each modality in all."""
        names, fields = list(self._fields), list(self._fields.values())
        units = part.units()
        align = np.array([field.align for field in fields])
        room = np.array([field.length for field in fields]) // align
        lengths = np.stack([units.get(name, np.zeros(len(part), np.int64)) for name in names], axis=1)
        blocks = -(-lengths // align)
        over = np.argwhere(blocks > room)
        if len(over):
            i, column = (int(k) for k in over[0])
            raise UserError(
                f"{part.where(i)}: {names[column]} takes {lengths[i, column]:,} units, and a packed row holds "
                f"{fields[column].length:,}; give datasets.Packed a greater length for it"
            )
        rows = packing.packed(blocks, room, self._most)
        kinds = np.unique(blocks, axis=0, return_inverse=True)[1].reshape(-1)
        return rows, kinds, lengths.sum(axis=0)
