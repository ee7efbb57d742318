"""Other names: old arguments, aliases of classes and modules. The one place where they live."""

from fkeras.layers.base import layers
from fkeras.optim import optimizers
from fkeras.optim.schedules import InverseTimeDecay
from fkeras.settings import OLD_SPELLINGS


def _first_layer_shape(cls, kwargs):
    """input_shape, input_dim, batch_input_shape (and input_length) of a first layer -> batch_shape."""
    batch = kwargs.pop("batch_size", None)
    length = kwargs.pop("input_length", None)
    if (shape := kwargs.pop("batch_input_shape", None)) is not None:
        kwargs["batch_shape"] = tuple(shape)
    elif (shape := kwargs.pop("input_shape", None)) is not None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kwargs["batch_shape"] = (batch, *shape)
    elif (dim := kwargs.pop("input_dim", None)) is not None:
        kwargs["batch_shape"] = (batch, dim) if length is None else (batch, length, dim)
    elif length is not None:
        kwargs["batch_shape"] = (batch, length)
    for unused in ("autocast", "implementation"):  # they choose how Keras computes, not what
        kwargs.pop(unused, None)
    for absent in ("quantization_config", "lora_rank", "lora_alpha", "gptq_unpacked_column_size"):
        if kwargs.get(absent, 0) is None:  # configs of Keras 3 name what a layer does without
            del kwargs[absent]
    return kwargs


def _renamed(**names):
    """Returns a translator that renames old arguments."""

    def translate(cls, kwargs):
        for old, new in names.items():
            if old in kwargs:
                kwargs.setdefault(new, kwargs.pop(old))
        return kwargs

    return translate


def _then(*translators):
    def translate(cls, kwargs):
        for t in translators:
            kwargs = t(cls, kwargs)
        return kwargs

    return translate


_weights_1 = {
    "init": "kernel_initializer",
    "bias": "use_bias",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
}
_window_1 = {"border_mode": "padding", "subsample": "strides", "nb_filter": "filters"}


def _dim_ordering(cls, kwargs):
    if (order := kwargs.pop("dim_ordering", None)) is not None:
        kwargs["data_format"] = {"tf": "channels_last", "th": "channels_first"}.get(order, order)
    return kwargs


def _sides(*names):
    """nb_row, nb_col -> kernel_size, as Keras 1 gave the sides of a kernel one by one."""

    def translate(cls, kwargs):
        if names[0] in kwargs:
            kwargs["kernel_size"] = tuple(kwargs.pop(n) for n in names)
        return kwargs

    return translate


OLD_SPELLINGS["Layer"] = _first_layer_shape
OLD_SPELLINGS["Dense"] = _renamed(output_dim="units", **_weights_1)
OLD_SPELLINGS["Embedding"] = _renamed(
    init="embeddings_initializer", W_regularizer="embeddings_regularizer", weights="initial_table"
)
OLD_SPELLINGS["Dropout"] = _renamed(p="rate")
OLD_SPELLINGS["GaussianDropout"] = _renamed(p="rate")
OLD_SPELLINGS["GaussianNoise"] = _renamed(sigma="stddev")
OLD_SPELLINGS["BatchNormalization"] = _renamed(beta_init="beta_initializer", gamma_init="gamma_initializer")
for _rank, _names in (("1", ("filter_length",)), ("2", ("nb_row", "nb_col")), ("3", ("k1", "k2", "k3"))):
    _conv = _then(_sides(*_names), _renamed(**_weights_1, **_window_1, subsample_length="strides"), _dim_ordering)
    for _kind in ("Conv{}D", "Conv{}DTranspose", "SeparableConv{}D", "DepthwiseConv{}D"):
        OLD_SPELLINGS[_kind.format(_rank)] = _conv
    _pool = _then(_renamed(border_mode="padding", pool_length="pool_size", stride="strides"), _dim_ordering)
    for _kind in ("MaxPooling{}D", "AveragePooling{}D"):
        OLD_SPELLINGS[_kind.format(_rank)] = _pool
for _kind in ("Flatten", "ZeroPadding2D", "Cropping2D", "UpSampling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"):
    OLD_SPELLINGS[_kind] = _dim_ordering
OLD_SPELLINGS["LeakyReLU"] = _renamed(alpha="negative_slope")


def _old_rate(cls, kwargs):
    """lr -> learning_rate; Keras 2's decay -> inverse time decay of the rate, lr / (1 + decay * iterations)."""
    if "lr" in kwargs:
        kwargs.setdefault("learning_rate", kwargs.pop("lr"))
    if decay := kwargs.pop("decay", None):
        rate = kwargs.get("learning_rate", cls._fields["learning_rate"].default)
        kwargs["learning_rate"] = InverseTimeDecay(rate, decay_steps=1, decay_rate=decay)
    if kwargs.get("epsilon", 0) is None:  # Keras 1 and 2: the backend's 1e-7
        del kwargs["epsilon"]
    for unused in ("jit_compile", "is_legacy_optimizer", "schedule_decay"):
        kwargs.pop(unused, None)
    return kwargs


OLD_SPELLINGS.update(dict.fromkeys((cls.__name__ for cls in optimizers.entries.values()), _old_rate))
OLD_SPELLINGS["ReduceLROnPlateau"] = _renamed(epsilon="min_delta")


def register_aliases():
    """Adds Keras's other names of layers, called when all layers are imported."""
    for rank in (1, 2, 3):
        layers.alias(**{f"Convolution{rank}D": f"Conv{rank}D", f"MaxPool{rank}D": f"MaxPooling{rank}D"})
        layers.alias(**{f"AvgPool{rank}D": f"AveragePooling{rank}D"})
        layers.alias(**{f"GlobalMaxPool{rank}D": f"GlobalMaxPooling{rank}D"})
        layers.alias(**{f"GlobalAvgPool{rank}D": f"GlobalAveragePooling{rank}D"})
        layers.alias(**{f"Convolution{rank}DTranspose": f"Conv{rank}DTranspose"})
    for rank in (1, 2):
        layers.alias(**{f"SeparableConvolution{rank}D": f"SeparableConv{rank}D"})
        layers.alias(**{f"DepthwiseConvolution{rank}D": f"DepthwiseConv{rank}D"})
    layers.alias(Deconvolution2D="Conv2DTranspose", Deconv2D="Conv2DTranspose")
