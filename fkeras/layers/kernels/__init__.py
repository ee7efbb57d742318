"""Formulations of convolutions, poolings, attention and recurrences, chosen by platform: pure functions on arrays."""

from fkeras.layers.kernels.convolution import chosen, formulation

__all__ = ["chosen", "formulation"]
