"""Residual networks over time."""

from collections.abc import Sequence

from flax import linen

from mmjax import nn
from mmjax.core import Signal, Tokens, plain


class Series(linen.Module):
    """A residual network of convolutions over time; a token for each step that is left.

    After the ResNets for series (Wang et al., 2016, https://arxiv.org/abs/1611.06455) and for waveforms (Dai et al.,
    2016, https://arxiv.org/abs/1610.00087). Whatever stands at a step counts as its channels: sensors ``b t c``, a
    waveform ``b t``, a spectrum's bands (``Spectrum(Series())``). A first convolution of size ``stem`` and each stage
    but the first shorten the series to its ``stride``-th part, rounded up: 1 leaves it as long as it is, and
    ``stem=79, stride=4`` makes 250 tokens of a second at 16 kHz. The first stage has ``channels``, each later one twice
    as many; bottlenecks give four times those, and tokens are as wide as the last. ``groups`` = 0 is BatchNorm,
    any other value GroupNorm. ``drop_path`` leaves out whole branches, row by row.

    Raises UserError for packed rows, whose series it would mix.
    """

    channels: int = 64
    stages: Sequence[int] = (2, 2, 2)
    stem: int = 7
    stride: int = 2
    kernel: int = 3
    bottleneck: bool = False
    groups: int = 0
    drop_path: float = 0.0
    dtype: str = "float32"

    def tokens(self, steps: int, *channels: int) -> int:
        """How many tokens a series of so many steps gives, whatever its channels."""
        return -(-steps // self.stride ** len(self.stages))

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Tokens:
        series = nn.grid.series(signal, dtype=self.dtype)
        series = nn.convolution.masked(
            series, self.channels, kernel=self.stem, stride=self.stride, dtype=self.dtype, name="convolution"
        )
        norm = nn.norm.chosen(self.groups, dtype=self.dtype, name="norm")
        series = series.replace(values=linen.relu(norm(series.values, series.mask, train=train)))
        fields = plain.common(nn.Residual, self)
        return nn.grid.tokens(nn.residual.stack(series, self.stages, train=train, **fields))
