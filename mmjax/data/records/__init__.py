"""Rows in sharded record files that carry their own pictures and recordings: written once, read at random."""

from mmjax.data.records.pack import pack
from mmjax.data.records.shard import Shards, opened

__all__ = ["Shards", "opened", "pack"]
