"""Texts to numbers: by words, by characters, by bytes, by byte pairs. Id 0 is padding, 1 is unknown."""

from mmjax.data.tokenizers.byte_pairs import BytePairs
from mmjax.data.tokenizers.characters import Characters
from mmjax.data.tokenizers.delimited import Delimited
from mmjax.data.tokenizers.marked import Marked
from mmjax.data.tokenizers.raw import Bytes
from mmjax.data.tokenizers.words import Words

__all__ = ["BytePairs", "Bytes", "Characters", "Delimited", "Marked", "Words"]
