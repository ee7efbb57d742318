"""Which part of its input a layer reads for one number of its output."""

from typing import NamedTuple


class Window(NamedTuple):
    """What output number n of an axis is computed from: `size` inputs from n * stride - front on, `dilation` apart.

    `front` inputs before the first are zeros. Nothing is added at the end: fewer inputs make fewer outputs.
    """

    size: int = 1
    stride: int = 1
    dilation: int = 1
    front: int = 0

    def reads(self, outputs):
        """Returns how many inputs, from the start, the first `outputs` outputs are computed from.

        Example:
            >>> Window(size=2, stride=2).reads(5), Window(size=3).reads(10)
            (10, 12)
        """
        return (outputs - 1) * self.stride + (self.size - 1) * self.dilation + 1 - self.front


def each_alone(layer, rank):
    """The `Layer.windows` of layers that compute every number of the output from the one in its place."""
    return (Window(),) * (rank - 1)
