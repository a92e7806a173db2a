"""Published systems put together from the parts, a file each: plain functions that return modules."""

from mmjax.zoo import bert, clip, coca, gpt1, gpt2, gpt3, modern, siglip, weight, whisper

__all__ = ["bert", "clip", "coca", "gpt1", "gpt2", "gpt3", "modern", "siglip", "weight", "whisper"]
