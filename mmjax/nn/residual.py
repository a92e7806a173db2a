"""Residual blocks of convolutions, over time, pictures or videos."""

from collections.abc import Sequence
from typing import Any

from flax import linen

from mmjax.core import Signal
from mmjax.nn import convolution, norm

EXPANSION = 4  # of a bottleneck's channels, as they come out


class Residual(linen.Module):
    """Convolutions beside a shortcut, each with a norm (He et al., 2015, https://arxiv.org/abs/1512.03385).

    Two of size ``kernel`` with ``channels``; or, with ``bottleneck``, one of them between two of size 1, the last of
    which has four times the channels. The first of size ``kernel`` has the ``stride`` (ResNet v1.5). ``factored``
    splits each into one over space and one over time, with as many weights (R(2+1)D, Tran et al., 2018,
    https://arxiv.org/abs/1711.11248). ``groups`` = 0 is BatchNorm, else GroupNorm. The last norm's scale begins at
    0, so that a fresh block passes on what it is given (Goyal et al., 2017, https://arxiv.org/abs/1706.02677).
    ``drop_path`` leaves out whole branches, row by row.
    """

    channels: int
    stride: int = 1
    kernel: int = 3
    bottleneck: bool = False
    factored: bool = False
    groups: int = 0
    drop_path: float = 0.0
    dtype: str = "float32"

    @linen.compact
    def __call__(self, signal: Signal, *, train: bool) -> Signal:
        """``b n *s c`` with mask ``b n`` to the same at a ``stride``-th of the places."""
        out = self.channels * (EXPANSION if self.bottleneck else 1)
        layers = [(self.channels, self.kernel, self.stride), (self.channels, self.kernel, 1)]
        if self.bottleneck:
            layers = [(self.channels, 1, 1), layers[0], (out, 1, 1)]
        branch = signal
        for i, (channels, kernel, stride) in enumerate(layers):
            branch = self._convolved(branch, channels, kernel, stride, f"convolution_{i}", train)
            last = i == len(layers) - 1
            branch = self._normed(branch, f"norm_{i}", train, start=0.0 if last else 1.0)
            branch = branch if last else _rectified(branch)
        if self.stride > 1 or signal.values.shape[-1] != out:
            signal = convolution.masked(signal, out, kernel=1, stride=self.stride, dtype=self.dtype, name="shortcut")
            signal = self._normed(signal, "shortcut_norm", train)
        axes = tuple(range(1, branch.values.ndim))
        kept = linen.Dropout(self.drop_path, broadcast_dims=axes, deterministic=not train)(branch.values)
        return _rectified(branch.replace(values=signal.values + kept))

    def _convolved(self, signal: Signal, channels: int, kernel: int, stride: int, name: str, train: bool) -> Signal:
        if not self.factored or kernel == 1:
            return convolution.masked(signal, channels, kernel=kernel, stride=stride, dtype=self.dtype, name=name)
        middle = between(signal.values.shape[-1], channels, kernel=kernel)
        space = convolution.masked(
            signal,
            middle,
            kernel=(1, kernel, kernel),
            stride=(1, stride, stride),
            dtype=self.dtype,
            name=f"{name}_space",
        )
        space = _rectified(self._normed(space, f"{name}_norm", train))
        return convolution.masked(
            space, channels, kernel=(kernel, 1, 1), stride=(stride, 1, 1), dtype=self.dtype, name=f"{name}_time"
        )

    def _normed(self, signal: Signal, name: str, train: bool, start: float = 1.0) -> Signal:
        layer = norm.chosen(self.groups, start=start, dtype=self.dtype, name=name)
        return signal.replace(values=layer(signal.values, signal.mask, train=train))


def between(inputs: int, outputs: int, *, kernel: int = 3) -> int:
    """Channels between space and time, so that both together have as many weights as one convolution of all three."""
    return kernel**3 * inputs * outputs // (kernel**2 * inputs + kernel * outputs)


def stack(
    signal: Signal, stages: Sequence[int], *, train: bool, channels: int, stride: int = 2, **fields: Any
) -> Signal:
    """Stages of so many blocks each, for use inside of a compact method. fields: Residual's own.

    The first stage has ``channels``. Each later one has twice as many and begins with a ``stride``.
    """
    for i, depth in enumerate(stages):
        for j in range(depth):
            own = {"channels": channels * 2**i, "stride": stride if i and not j else 1}
            signal = Residual(**own, **fields, name=f"stage_{i}_block_{j}")(signal, train=train)
    return signal


def _rectified(signal: Signal) -> Signal:
    return signal.replace(values=linen.relu(signal.values))
