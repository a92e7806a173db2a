"""What modules that hold a decoder say of it."""

from collections.abc import Mapping
from typing import Any

from flax import linen


class Around:
    """A module with a field ``decoder``, whose text and answers are its own."""

    decoder: Any

    @property
    def stream(self) -> str:
        """The modality that the decoder reads itself."""
        return self.decoder.stream

    @property
    def head(self) -> str:
        """What the decoder's answers are called."""
        return self.decoder.head

    @property
    def vocabulary(self) -> int:
        """How many words the decoder knows."""
        return self.decoder.vocabulary

    @property
    def length(self) -> int:
        """The decoder's context."""
        return self.decoder.length

    @property
    def positions(self) -> str:
        """How the decoder marks positions."""
        return self.decoder.positions


class Instead(Around):
    """One that stands for its decoder, a ``GPT`` or a ``Talker``, in all else: what that is given comes through it."""

    @property
    def encoders(self) -> Mapping[str, linen.Module]:
        """Those of the decoder, if it has any."""
        return getattr(self.decoder, "encoders", {})

    @property
    def alike(self) -> Mapping[str, str]:
        """Which modalities share the encoders of others."""
        return getattr(self.decoder, "alike", {})
