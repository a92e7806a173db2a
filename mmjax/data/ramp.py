"""A batch that grows as training goes on: small while any gradient shows the way, large where noise would hide it."""

import dataclasses

from mmjax.core import UserError


@dataclasses.dataclass(frozen=True)
class Ramp:
    """From ``first`` rows to the whole batch on a straight line over as many ``examples`` (Brown et al., 2020, 2.3).

    On its way the batch has ``first`` rows, twice as many, four times ..., whichever the line has last passed, so that
    a handful of steps is compiled. GPT-3's begins with 32,000 tokens and takes 4 to 12 billion.
    """

    first: int
    examples: int

    def __post_init__(self) -> None:
        if self.first < 1 or self.examples < 1:
            raise UserError(f"ramp: first={self.first} and examples={self.examples} must be 1 or more")


class Growth:
    """Where the rows of each batch stand in the stream: a function of the batch's number alone."""

    def __init__(self, batch: int, ramp: Ramp | None = None):
        if ramp is not None and ramp.first > batch:
            raise UserError(f"run.ramp.first={ramp.first} is more than data.batch={batch}; begin with fewer rows")
        sizes = [batch]
        while ramp is not None and ramp.first * 2 ** (len(sizes) - 1) < batch:
            sizes.insert(-1, ramp.first * 2 ** (len(sizes) - 1))
        # number of the first batch of each size, and the place where it begins
        self.stages = [(0, 0, sizes[0])]
        for size in sizes[1:]:
            assert ramp is not None
            number, place, last = self.stages[-1]
            passed = ramp.examples * (size - ramp.first) / (batch - ramp.first)
            count = max(1, -int(-(passed - place) // last))
            self.stages.append((number + count, place + count * last, size))

    def __call__(self, k: int) -> tuple[int, int]:
        """The place of batch ``k``'s first row, and how many rows it has."""
        number, place, size = next(stage for stage in reversed(self.stages) if stage[0] <= k)
        return place + (k - number) * size, size

    @property
    def sizes(self) -> list[int]:
        """All sizes, the smallest first."""
        return [size for _, _, size in self.stages]
