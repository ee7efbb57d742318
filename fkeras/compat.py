"""Other names: old arguments, aliases of classes and modules. The one place where they live."""

import warnings

import jax.numpy as jnp

from fkeras import old_models
from fkeras.activations import activations
from fkeras.core import messages
from fkeras.core.names import OTHER_NAMES
from fkeras.core.settings import OLD_POSITIONS, OLD_SPELLINGS, SILENT
from fkeras.layers.contract.base import layers
from fkeras.optim import optimizers
from fkeras.optim.schedules import InverseTimeDecay


def _first_layer_shape(cls, kwargs):
    """input_shape, input_dim, batch_input_shape (and input_length) of a first layer -> batch_shape."""
    batch = kwargs.pop("batch_size", None)
    length = kwargs.pop("input_length", None)
    length = tuple(length) if isinstance(length, (list, tuple)) else () if length is None else (length,)
    features = None if "input_dim" in cls._fields else kwargs.pop("input_dim", None)
    if (shape := kwargs.pop("batch_input_shape", None)) is not None:
        kwargs["batch_shape"] = tuple(shape)
    elif (shape := kwargs.pop("input_shape", None)) is not None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kwargs["batch_shape"] = (batch, *shape)
    elif features is not None:
        kwargs["batch_shape"] = (batch, *length, features)
    elif length:
        kwargs["batch_shape"] = (batch, *length)
    for unused in ("autocast", "implementation", "consume_less", "input_dtype"):  # how Keras computes, not what
        kwargs.pop(unused, None)
    for absent in ("quantization_config", "lora_rank", "lora_alpha", "gptq_unpacked_column_size"):
        if kwargs.get(absent, 0) is None:  # configs of Keras 3 name what a layer does without
            del kwargs[absent]
    return kwargs


# Of a first layer, as good as today's; and how a layer of some age was computed, or what it was without, in its config
SILENT.update(
    "input_shape input_dim batch_input_shape input_length batch_size autocast implementation consume_less input_dtype "
    "quantization_config lora_rank lora_alpha gptq_unpacked_column_size jit_compile is_legacy_optimizer".split()
)


def _renamed(**names):
    """Returns a translator that renames old arguments. One that is given by both its names is refused."""

    def translate(cls, kwargs):
        for old, new in names.items():
            if old in kwargs:
                if new in kwargs:
                    what = cls.__name__ if cls else "This call"
                    raise TypeError(f"{what} got {new!r} twice: also as {old!r}, its name of old. Leave {old!r} out.")
                kwargs[new] = kwargs.pop(old)
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
_window_1 = {"border_mode": "padding", "subsample": "strides", "nb_filter": "filters", "atrous_rate": "dilation_rate"}
_parts_1 = {"depthwise_init": "depthwise_initializer", "pointwise_init": "pointwise_initializer"}
_recurrent_1 = {
    "output_dim": "units",
    "nb_filter": "filters",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "U_regularizer": "recurrent_regularizer",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "border_mode": "padding",
    "subsample": "strides",
}


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


# Arguments that only Keras 1 had: where one is given, positions are Keras 1's too
_KERAS_1 = {*_weights_1, *_window_1, *_parts_1, *_recurrent_1, "dim_ordering"}


def _kernel_sides(cls, args, kwargs):
    """Keras 1's (filters, rows, columns) -> (filters, (rows, columns)), where another argument is Keras 1's too."""
    return _sides_in_one(cls, args) if kwargs.keys() & _KERAS_1 else args


def _any_output_shape(cls, kwargs):
    if kwargs.pop("output_shape", None) is not None:
        warnings.warn(
            f"{cls.__name__}(output_shape=...): the size of the output follows from strides and padding, the input's "
            f"times the strides with 'same'. Where it was another, give output_padding.",
            stacklevel=4,
        )
    return kwargs


def _sides_in_one(cls, args):
    rank = int(cls.__name__.partition("D")[0][-1])
    if len(args) != 1 + rank or not all(isinstance(a, int) for a in args):
        return args
    new = args[0], tuple(args[1:])
    messages.old_spelling(f"{cls.__name__}{args}", f"{cls.__name__}{new}")
    return new


def _by_its_old_name(name, cls):
    """Returns a class by whose name Keras 1's positions are understood; it makes layers of today's class."""

    def __new__(made, *args, **kwargs):
        if made.__name__ == name:  # what is no instance of `made` is not initialized anew
            return cls(*_sides_in_one(cls, args), **kwargs)
        return super(made, made).__new__(made, *args, **kwargs)

    about = (
        f"Keras 1's name of `{cls.__name__}`: {name}(filters, rows, columns) is {cls.__name__}(filters, kernel_size)."
    )
    return type(name, (cls,), {"__new__": __new__, "__doc__": about, "__module__": cls.__module__})


def _forget_bias(cls, kwargs):
    if (start := kwargs.pop("forget_bias_init", None)) is not None:
        kwargs["unit_forget_bias"] = start in ("one", "ones")
    return kwargs


def _batch_statistics(cls, kwargs):
    if (mode := kwargs.pop("mode", 0)) != 0:
        raise ValueError(
            f"BatchNormalization(mode={mode!r}): Keras 1's modes 1 (over each sample) and 2 (with the statistics of "
            f"the batch at prediction too) exist no more; only 0 can be read."
        )
    return kwargs


def _word_dropout(cls, kwargs):
    if kwargs.pop("dropout", None):
        warnings.warn(
            "Embedding(dropout=...): Keras 1 dropped whole words while training; the layer here does not. It predicts "
            "the same. To go on training so, put SpatialDropout1D after it.",
            stacklevel=4,
        )
    return kwargs


def _length(cls, kwargs):
    if "length" in kwargs:
        kwargs["size"] = kwargs.pop("length")
    return kwargs


def _four_sides(cls, kwargs):
    """Keras 1's padding (top, bottom, left, right), also as a dict."""
    sides = kwargs.get("padding")
    if isinstance(sides, dict):
        sides = [sides.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
    if isinstance(sides, (list, tuple)) and len(sides) == 4:
        kwargs["padding"] = (tuple(sides[:2]), tuple(sides[2:]))
    return kwargs


@activations.register
def hard_sigmoid_keras2(x):
    """The hard sigmoid of Keras 1 and 2: f(x) = min(max(0.2 * x + 1/2, 0), 1). Files they wrote are read with it.

    Example:
        >>> hard_sigmoid_keras2(jnp.array([-2.5, 0.0, 1.0, 4.0])).tolist()
        [0.0, 0.5, 0.699999988079071, 1.0]
    """
    x = jnp.asarray(x)
    return jnp.clip((x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype("float32")) * 0.2 + 0.5, 0, 1)


OLD_SPELLINGS["Layer"] = _first_layer_shape
OLD_SPELLINGS["Dense"] = _renamed(output_dim="units", **_weights_1)
OLD_SPELLINGS["Embedding"] = _then(
    _renamed(
        init="embeddings_initializer",
        W_regularizer="embeddings_regularizer",
        W_constraint="embeddings_constraint",
        weights="initial_table",
    ),
    _word_dropout,
)
OLD_SPELLINGS["MaxoutDense"] = OLD_SPELLINGS["Highway"] = OLD_SPELLINGS["Dense"]
OLD_SPELLINGS["Dropout"] = _renamed(p="rate")
OLD_SPELLINGS["GaussianDropout"] = _renamed(p="rate")
OLD_SPELLINGS["GaussianNoise"] = _renamed(sigma="stddev")
OLD_SPELLINGS["BatchNormalization"] = _then(
    _renamed(beta_init="beta_initializer", gamma_init="gamma_initializer"), _batch_statistics
)
for _kind in ("SimpleRNN", "GRU", "LSTM", "ConvLSTM2D"):
    _sides_2 = _sides("nb_row", "nb_col") if _kind == "ConvLSTM2D" else _renamed()
    OLD_SPELLINGS[_kind] = _then(_sides_2, _renamed(**{**_weights_1, **_recurrent_1}), _forget_bias, _dim_ordering)
OLD_POSITIONS["ConvLSTM2D"] = _kernel_sides
_three = ("kernel_dim1", "kernel_dim2", "kernel_dim3")
for _rank, _names in (("1", ("filter_length",)), ("2", ("nb_row", "nb_col")), ("3", _three)):
    _conv = _then(
        _sides(*_names), _renamed(**_weights_1, **_window_1, **_parts_1, subsample_length="strides"), _dim_ordering
    )
    for _kind in ("Conv{}D", "Conv{}DTranspose", "SeparableConv{}D", "DepthwiseConv{}D"):
        OLD_SPELLINGS[_kind.format(_rank)] = _conv
        if _rank != "1":
            OLD_POSITIONS[_kind.format(_rank)] = _kernel_sides
    _pool = _then(_renamed(border_mode="padding", pool_length="pool_size", stride="strides"), _dim_ordering)
    for _kind in ("MaxPooling{}D", "AveragePooling{}D"):
        OLD_SPELLINGS[_kind.format(_rank)] = _pool
for _rank in (2, 3):
    for _kind in (
        "Cropping",
        "UpSampling",
        "GlobalMaxPooling",
        "GlobalAveragePooling",
        "SpatialDropout",
        "ZeroPadding",
    ):
        OLD_SPELLINGS[f"{_kind}{_rank}D"] = _dim_ordering


for _rank in (2, 3):
    _kind = f"Conv{_rank}DTranspose"
    OLD_SPELLINGS[_kind] = _then(_any_output_shape, OLD_SPELLINGS[_kind])


def _kernel_of_parts(*parts):
    """kernel_initializer and its like -> those of the parts that make the kernel; what a part has of its own stays."""

    def translate(cls, kwargs):
        for kind in ("initializer", "regularizer", "constraint"):
            if f"kernel_{kind}" in kwargs:
                value = kwargs.pop(f"kernel_{kind}")
                kwargs = {f"{part}_{kind}": value for part in parts} | kwargs
        return kwargs

    return translate


for _rank in (1, 2):
    for _kind, _its in (("Depthwise", ("depthwise",)), ("Separable", ("depthwise", "pointwise"))):
        _name = f"{_kind}Conv{_rank}D"
        OLD_SPELLINGS[_name] = _then(OLD_SPELLINGS[_name], _kernel_of_parts(*_its))
OLD_SPELLINGS["Reshape"] = _renamed(dims="target_shape")
OLD_SPELLINGS["Flatten"] = _dim_ordering
OLD_SPELLINGS["ZeroPadding2D"] = _then(_four_sides, _dim_ordering)
OLD_SPELLINGS["UpSampling1D"] = _length
for _rank in (1, 2, 3):
    OLD_SPELLINGS[f"SpatialDropout{_rank}D"] = _then(_renamed(p="rate"), _dim_ordering)
OLD_SPELLINGS["LeakyReLU"] = _renamed(alpha="negative_slope")
OLD_SPELLINGS["PReLU"] = _renamed(init="alpha_initializer")
OLD_SPELLINGS["ReLU"] = _renamed(theta="threshold")  # ThresholdedReLU(theta)


_rate = _renamed(lr="learning_rate")


def _old_rate(cls, kwargs):
    """lr -> learning_rate; Keras 2's decay -> inverse time decay of the rate, lr / (1 + decay * iterations)."""
    kwargs = _rate(cls, kwargs)
    if decay := kwargs.pop("decay", None):
        rate = kwargs.get("learning_rate", cls._fields["learning_rate"].default)
        kwargs["learning_rate"] = InverseTimeDecay(rate, decay_steps=1, decay_rate=decay)
    if kwargs.get("epsilon", 0) is None:  # Keras 1 and 2: the backend's 1e-7
        del kwargs["epsilon"]
    for unused in ("jit_compile", "is_legacy_optimizer"):
        kwargs.pop(unused, None)
    return kwargs


def _nadam(cls, kwargs):
    """Keras 2 let the decay of Nadam's momentum be chosen (tf.keras called it decay); Keras 3 has another formula."""
    for name in ("schedule_decay", "decay"):
        if kwargs.pop(name, None) is not None:
            warnings.warn(
                f"Nadam({name}=...): Keras 3 computes the momentum of a step otherwise than Keras 2 did, and without "
                f"this setting: training goes on with the formula of Keras 3.",
                stacklevel=4,
            )
    return _old_rate(cls, kwargs)


OLD_SPELLINGS.update(dict.fromkeys((cls.__name__ for cls in optimizers.entries.values()), _old_rate))
OLD_SPELLINGS["Nadam"] = _nadam
OLD_SPELLINGS["ImageDataGenerator"] = _dim_ordering
OLD_SPELLINGS["imdb.load_data"] = OLD_SPELLINGS["reuters.load_data"] = _renamed(nb_words="num_words")
OLD_SPELLINGS["to_categorical"] = _renamed(nb_classes="num_classes", y="x")
OLD_SPELLINGS["ReduceLROnPlateau"] = _renamed(epsilon="min_delta")


def _period(cls, kwargs):
    """Keras 2's period of a ModelCheckpoint, in epochs."""
    if "period" in kwargs:
        if "save_freq" in kwargs:
            raise TypeError("ModelCheckpoint got 'save_freq' twice: also as 'period', its name of old. Leave one out.")
        kwargs["save_freq"] = f"{kwargs.pop('period')} epochs"
    return kwargs


def _board(cls, kwargs):
    """What TensorBoard took in Keras 2: gradients, and layers and data of embeddings, are left out with a word."""
    lost = [name for name in ("write_grads", "embeddings_layer_names", "embeddings_data") if kwargs.pop(name, None)]
    if lost:
        more = " The norms of gradients are in the logs with callbacks.GradientNorms." if "write_grads" in lost else ""
        warnings.warn(
            f"TensorBoard({lost[0]}=...): TensorFlow 2 and Keras 3 do not know it, and it changes nothing.{more}",
            stacklevel=4,
        )
    if kwargs.pop("batch_size", None) is not None:  # of the gradients
        messages.old_spelling("TensorBoard(batch_size=)", None)
    return kwargs


def _board_positions(cls, args, kwargs):
    """Keras 2's (log_dir, histogram_freq, batch_size, write_graph, write_grads, write_images, ...) -> today's."""
    if len(args) < 3 or isinstance(args[2], bool):
        return args
    messages.old_spelling("TensorBoard(log_dir, histogram_freq, batch_size, ...)", "TensorBoard(log_dir=, ...)")
    names = "log_dir histogram_freq batch_size write_graph write_grads write_images embeddings_freq "
    names += "embeddings_layer_names embeddings_metadata embeddings_data update_freq"
    with messages.old_spellings_expected():
        new = _board(cls, dict(zip(names.split(), args, strict=False)))
    kwargs.update(new)
    return ()


OLD_SPELLINGS["TensorBoard"] = _board
OLD_POSITIONS["TensorBoard"] = _board_positions
OLD_SPELLINGS["L1"] = _renamed(l="l1")
OLD_SPELLINGS["L2"] = _renamed(l="l2")
OLD_SPELLINGS["MaxNorm"] = _renamed(m="max_value")
OLD_SPELLINGS["ModelCheckpoint"] = _period
OLD_SPELLINGS["Model"] = _renamed(input="inputs", output="outputs")


def _without(*names):
    """Returns a translator that leaves out arguments that said how Keras worked, not what it computed."""

    def translate(cls, kwargs):
        return {k: v for k, v in kwargs.items() if k not in names}

    return translate


_reading = _without("workers", "use_multiprocessing", "max_queue_size")
OLD_SPELLINGS["Model.fit"] = _then(_renamed(nb_epoch="epochs"), _reading)
OLD_SPELLINGS["Model.evaluate"] = OLD_SPELLINGS["Model.predict"] = _reading


def _old_compile(cls, kwargs):
    """Leaves out what was None, and how TensorFlow ran a step; refuses what changed the numbers."""
    for name in ("target_tensors", "options", "run_metadata", "sample_weight_mode"):
        if kwargs.get(name, 0) is None:
            del kwargs[name]
    if kwargs.get("sample_weight_mode") == "temporal":  # weights [B, T] are understood by their shape
        del kwargs["sample_weight_mode"]
    return _without("experimental_run_tf_function", "experimental_steps_per_execution")(cls, kwargs)


OLD_SPELLINGS["Model.compile"] = _old_compile

# ------------------------------------------------------------------------------------- other names in namespaces

_losses = {
    "cosine_proximity": "cosine_similarity",
    "cosine": "cosine_similarity",
    "huber_loss": "huber",
}
OTHER_NAMES["losses"] = {old: f"losses.{new}" for old, new in _losses.items()}
OTHER_NAMES["metrics"] = OTHER_NAMES["losses"] | {
    name: f"losses.{name}"
    for name in """
        KLD MAE MAPE MSE MSLE cosine_similarity kld kullback_leibler_divergence logcosh mae mape mse msle
    """.split()
}
OTHER_NAMES["metrics"] |= {
    name: f"metrics.batch.{name}" for name in ("precision", "recall", "fbeta_score", "fmeasure", "matthews_correlation")
} | {"CosineProximity": "metrics.CosineSimilarity"}
OTHER_NAMES["layers"] = {
    "CuDNNLSTM": "layers.LSTM",
    "CuDNNGRU": "layers.GRU",
    "Recurrent": "layers.RNN",
    "SyncBatchNormalization": "layers.BatchNormalization",  # its statistics are those of all devices
    "Merge": "old_models.Merge",
    "_Merge": "old_models._Merge",
    "merge": "old_models.merge",
    "RandomHeight": "old_utils.RandomHeight",
    "RandomWidth": "old_utils.RandomWidth",
    "PreprocessingLayer": "layers.Layer",
    "Container": "models.Model",
}
OTHER_NAMES["regularizers"] = {
    "l1l2": "regularizers.l1_l2",
    "WeightRegularizer": "regularizers.L1L2",
    "ActivityRegularizer": "regularizers.L1L2",
    "activity_l1": "regularizers.l1",
    "activity_l2": "regularizers.l2",
    "activity_l1l2": "regularizers.l1_l2",
}
OTHER_NAMES["constraints"] = {
    "maxnorm": "constraints.max_norm",
    "nonneg": "constraints.non_neg",
    "unitnorm": "constraints.unit_norm",
}
OTHER_NAMES["initializers"] = {
    "normal": "initializers.RandomNormal",
    "uniform": "initializers.RandomUniform",
    "zero": "initializers.Zeros",
    "one": "initializers.Ones",
    "_compute_fans": "initializers.compute_fans",
    "get_fans": "initializers.compute_fans",
}
OTHER_NAMES["optimizers"] = {
    name.lower(): f"optimizers.{name}" for name in "SGD RMSprop Adagrad Adadelta Adam Adamax Nadam Ftrl".split()
} | {"TFOptimizer": "old_utils.TFOptimizer", "OptimizerV2": "optimizers.Optimizer"}
OTHER_NAMES["models"] = {
    "model_from_yaml": "old_models.model_from_yaml",
    "model_from_config": "old_utils.model_from_config",
    "Container": "models.Model",
}
_helpers = """
    GeneratorEnqueuer OrderedEnqueuer SequenceEnqueuer ask_to_proceed_with_overwrite conv_input_length
    conv_output_length convert_all_kernels_in_model convert_kernel count_params deconv_length deconv_output_length
    has_arg make_batches normalize_data_format normalize_padding normalize_tuple slice_arrays to_list to_snake_case
    shape_type_conversion unpack_singleton
"""
_same = {
    "GeneratorEnqueuer": "OrderedEnqueuer",
    "SequenceEnqueuer": "OrderedEnqueuer",
    "deconv_output_length": "deconv_length",
    "slice_X": "slice_arrays",
    "_slice_arrays": "slice_arrays",
    "_make_batches": "make_batches",
    "_to_list": "to_list",
    "_to_snake_case": "to_snake_case",
}
OTHER_NAMES["backend"] = {"normalize_data_format": "old_utils.normalize_data_format", "KerasTensor": "KerasTensor"}
OTHER_NAMES["backend.tensorflow_backend"] = {"_to_tensor": "ops.convert_to_tensor"}
OTHER_NAMES["mixed_precision"] = {
    "set_policy": "mixed_precision.set_global_policy",
    "LossScaleOptimizer": "optimizers.LossScaleOptimizer",
}
OTHER_NAMES["preprocessing.image"] = {name: f"old_utils.{name}" for name in ("flip_axis", "list_pictures")}
OTHER_NAMES["applications.imagenet_utils"] = dict.fromkeys(
    ("obtain_input_shape", "_obtain_input_shape"), "old_utils.obtain_input_shape"
)
OTHER_NAMES["applications.mobilenet"] = {"DepthwiseConv2D": "layers.DepthwiseConv2D"}  # of custom_objects
OTHER_NAMES["utils"] = {
    "HDF5Matrix": "old_models.HDF5Matrix",
    "multi_gpu_model": "old_models.multi_gpu_model",
    "print_summary": "old_models.print_summary",
    "probas_to_classes": "old_models.probas_to_classes",
    "categorical_probas_to_classes": "old_models.probas_to_classes",
    "plot": "utils.plot_model",
    "layer_from_config": "layers.deserialize",
    "smart_resize": "preprocessing.image.smart_resize",
    **{name: f"old_utils.{_same.get(name, name)}" for name in _helpers.split()},
}
_of_groups = ("load_weights_from_hdf5_group", "load_weights_from_hdf5_group_by_name", "save_weights_to_hdf5_group")
_groups = {name: f"old_utils.{name}" for name in _of_groups}
for _path in ("engine.saving", "saving.hdf5_format", "saving"):
    OTHER_NAMES[_path] = _groups
for _path in ("engine", "engine.topology", "engine.training", "engine.network", "engine.keras_tensor", "models"):
    OTHER_NAMES[_path] = OTHER_NAMES.get(_path, {}) | {
        "Container": "models.Model",
        "Network": "models.Model",
        "KerasTensor": "KerasTensor",
        "merge": "old_models.merge",
        **_groups,
        **{old: f"old_utils.{new}" for old, new in _same.items()},
    }
OTHER_NAMES["experimental"] = {name: f"optimizers.schedules.{name}" for name in ("CosineDecay", "CosineDecayRestarts")}


def register_aliases():
    """Adds Keras's other names of layers, and methods of old ages, called when all layers are imported."""
    old_models.register()
    for rank in (1, 2, 3):
        layers.alias(**{f"Convolution{rank}D": f"Conv{rank}D", f"MaxPool{rank}D": f"MaxPooling{rank}D"})
        layers.alias(**{f"AvgPool{rank}D": f"AveragePooling{rank}D"})
        layers.alias(**{f"GlobalMaxPool{rank}D": f"GlobalMaxPooling{rank}D"})
        layers.alias(**{f"GlobalAvgPool{rank}D": f"GlobalAveragePooling{rank}D"})
        layers.alias(**{f"Convolution{rank}DTranspose": f"Conv{rank}DTranspose"})
    for rank in (1, 2):
        layers.alias(**{f"SeparableConvolution{rank}D": f"SeparableConv{rank}D"})
        layers.alias(**{f"DepthwiseConvolution{rank}D": f"DepthwiseConv{rank}D"})
        layers.alias(**{f"AtrousConvolution{rank}D": f"Conv{rank}D"})
    layers.alias(ThresholdedReLU="ReLU", TimeDistributedDense="Dense")
    layers.alias(Deconvolution2D="Conv2DTranspose", Deconv2D="Conv2DTranspose", Deconvolution3D="Conv3DTranspose")
    for old in ("Convolution2D", "Convolution3D", "AtrousConvolution2D", "SeparableConvolution2D", "Deconvolution2D",
                "Deconvolution3D"):  # fmt: skip
        globals()[old] = _by_its_old_name(old, layers.lookup(old))
        OTHER_NAMES["layers"][old] = f"compat.{old}"
