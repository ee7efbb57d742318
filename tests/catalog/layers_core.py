"""Rows of the layers that neither convolve, recur nor attend; merging layers take lists and have rows of their own."""

import numpy as np

from tests.catalog.layer_row import LayerRow, row

ROWS = [
    row("Dense", (2, 3), kwargs={"units": 4}),
    row("Dense", (2, 5, 3), kwargs={"units": 4, "activation": "tanh", "use_bias": False}),
    row("Dense", (2, 4), kwargs={"units": 6, "activation": "glu", "activity_regularizer": "l2"}),
    row("EinsumDense", (2, 5, 3), kwargs={"equation": "abc,cd->abd", "output_shape": (None, 4), "bias_axes": "d"}),
    row("EinsumDense", (2, 5, 3), kwargs={"equation": "...x,xy->...y", "output_shape": 4, "activation": "relu"}),
    row("EinsumDense", (2, 3, 5), kwargs={"equation": "ab...,bc->ac...", "output_shape": 4, "bias_axes": "c"}),
    row("EinsumDense", (2, 5, 6), kwargs={"equation": "abc,cde->abde", "output_shape": (5, 2, 3), "bias_axes": "de"}),
    row("Activation", (2, 3), kwargs={"activation": "gelu"}),
    row("Identity", (2, 3)),
    row("Masking", (2, 4, 3), kwargs={"mask_value": 0.5}),
    row("Embedding", (2, 5), kwargs={"input_dim": 7, "output_dim": 3}, ints=7),
    row("Embedding", (4,), kwargs={"input_dim": 7, "output_dim": 3, "mask_zero": True}, ints=7),
    row("ReversibleEmbedding", (2, 5), kwargs={"input_dim": 7, "output_dim": 3}, ints=7),
    row("ReLU", (2, 3, 4), kwargs={"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.3}),
    row("LeakyReLU", (2, 3)),
    row("PReLU", (2, 3, 4), kwargs={"alpha_initializer": "ones"}),
    row("PReLU", (2, 3, 4, 5), kwargs={"shared_axes": [1, 2], "alpha_initializer": "ones"}),
    row("ELU", (2, 3), kwargs={"alpha": 0.7}),
    row("Softmax", (2, 3, 4), kwargs={"axis": 1}),
    row("Softmax", (2, 3, 4), kwargs={"axis": (1, 2)}),
    row("Flatten", (2, 3, 4)),
    row("Flatten", (2, 3, 4, 5), kwargs={"data_format": "channels_first"}),
    row("Flatten", (3,)),
    row("Reshape", (2, 6, 4), kwargs={"target_shape": (3, -1, 2)}),
    row("Permute", (2, 3, 4, 5), kwargs={"dims": (3, 1, 2)}),
    row("RepeatVector", (2, 3), kwargs={"n": 4}),
    row("Dropout", (4, 6), kwargs={"rate": 0.5}, random=True),
    row("Dropout", (4, 6, 3), kwargs={"rate": 0.25, "noise_shape": (None, 1, None), "seed": 3}, random=True),
    row("Dropout", (4, 6), kwargs={"rate": 0.5, "noise_shape": (1, None)}, random=True),
    row("Dropout", (4, 6), kwargs={"rate": 0.0}),
    row("SpatialDropout1D", (4, 6, 3), kwargs={"rate": 0.5}, random=True),
    row("SpatialDropout2D", (4, 3, 5, 6), kwargs={"rate": 0.5, "data_format": "channels_first"}, random=True),
    row("SpatialDropout3D", (4, 2, 2, 2, 6), kwargs={"rate": 0.5}, random=True),
    row("GaussianNoise", (4, 6), kwargs={"stddev": 0.3}, random=True),
    row("GaussianDropout", (4, 6), kwargs={"rate": 0.4}, random=True),
    row("AlphaDropout", (4, 6), kwargs={"rate": 0.4}, random=True),
    row("ActivityRegularization", (2, 3), kwargs={"l1": 0.1, "l2": 0.2}),
    row("BatchNormalization", (6, 3)),
    row("BatchNormalization", (4, 3, 5), kwargs={"axis": 1, "momentum": 0.8, "epsilon": 0.1}),
    row("BatchNormalization", (4, 3, 2, 5), kwargs={"center": False, "scale": False}),
    row(
        "BatchNormalization", (6, 3), kwargs={"renorm": True, "renorm_clipping": {"rmax": 1.5, "rmin": 0.5, "dmax": 2}}
    ),
    row("BatchNormalization", (6, 3), kwargs={"renorm": True, "scale": False, "renorm_momentum": 0.7}),
    row("LayerNormalization", (2, 5)),
    row("LayerNormalization", (2, 3, 4), kwargs={"axis": [2, 1], "epsilon": 0.1}),
    row("LayerNormalization", (2, 3, 4), kwargs={"axis": 1, "center": False}),
    row("LayerNormalization", (2, 5), kwargs={"scale": False}),
    row("LayerNormalization", (2, 5), kwargs={"rms_scaling": True}),
    row("RMSNormalization", (2, 5)),
    row("RMSNormalization", (2, 3, 4), kwargs={"axis": (1, 2), "epsilon": 0.1}),
    row("GroupNormalization", (2, 3, 3, 4), kwargs={"groups": 2}),
    row("GroupNormalization", (2, 4, 5), kwargs={"groups": -1, "axis": 1, "epsilon": 0.1}),
    row("GroupNormalization", (2, 4), kwargs={"groups": 1, "scale": False, "center": False}),
    row("UnitNormalization", (2, 3, 4), kwargs={"axis": [1, 2]}),
    row("UnitNormalization", (2, 5)),
    row("Rescaling", (2, 3), kwargs={"scale": 0.5, "offset": -1.0}),
    row("Rescaling", (2, 5, 3), kwargs={"scale": [0.5, 1.0, 2.0]}),
    row("Normalization", (2, 3)),
    row("Normalization", (2, 3, 4), kwargs={"axis": (1, -1), "invert": True}),
    row("Normalization", (2, 3), kwargs={"axis": None, "mean": 0.5, "variance": 4.0}),
    row("Normalization", (2, 3), kwargs={"mean": [0.1, 0.2, 0.3], "variance": [1.0, 2.0, 4.0], "invert": True}),
    row("CategoryEncoding", (3, 4), kwargs={"num_tokens": 5}, ints=5, grad=False),
    row("CategoryEncoding", (3, 1), kwargs={"num_tokens": 5, "output_mode": "one_hot"}, ints=5, grad=False),
    row("CategoryEncoding", (3, 4), kwargs={"num_tokens": 5, "output_mode": "count"}, ints=5, grad=False),
    row("Discretization", (3, 4), kwargs={"bin_boundaries": [-1.0, 0.0, 0.5]}, grad=False, half=False),
    row("Discretization", (3, 1), kwargs={"bin_boundaries": [-1.0, 0.5], "output_mode": "one_hot"}, grad=False),
]


class MergeRow(LayerRow):
    """A row whose `shape` is a list of shapes, and whose input a list of arrays."""

    def input(self):
        random = np.random.default_rng(7)
        return [random.normal(size=s).astype("float32") for s in self.shape]


def _merge(kind, *shapes, **kwargs):
    shown = ",".join([*map(str, shapes), *(f"{k}={v}" for k, v in kwargs.items())])
    return MergeRow(f"{kind}({shown})", kind, kwargs, list(shapes))


MERGE_ROWS = [
    _merge("Add", (2, 3), (2, 3), (2, 1)),
    _merge("Add", (2, 5, 3), (2, 3)),
    _merge("Subtract", (2, 3), (2, 3)),
    _merge("Multiply", (2, 3), (2, 3), (2, 3)),
    _merge("Average", (2, 3), (2, 3), (2, 3)),
    _merge("Maximum", (2, 3), (2, 3)),
    _merge("Minimum", (2, 3, 4), (2, 3, 4)),
    _merge("Concatenate", (2, 3), (2, 4)),
    _merge("Concatenate", (2, 3, 4), (2, 1, 4), axis=1),
    _merge("Dot", (2, 3), (2, 3), axes=1),
    _merge("Dot", (2, 3, 5), (2, 10, 3), axes=(1, 2)),
    _merge("Dot", (2, 3), (2, 4, 3), axes=-1, normalize=True),
    _merge("Dot", (2, 4, 3), (2, 3), axes=(2, 1)),
    _merge("Dot", (2, 4, 3, 5), (2, 6, 3), axes=(2, 2)),
]
