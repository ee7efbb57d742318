"""Names of old ages that scripts use: where they are found, and that what they mean computes what it did."""

import h5py
import numpy as np
import pytest

import fkeras
from fkeras import check, datasets, layers
from fkeras.core.keras_names import LACKING, lacking

# A sample of what tutorials and repositories of each age import, by module
USED = {
    "keras.layers.core": "Dense Highway MaxoutDense TimeDistributedDense Merge Masking Reshape SpatialDropout2D",
    "keras.layers.convolutional": "AtrousConvolution2D Convolution1D Deconvolution2D SeparableConv2D Cropping1D",
    "keras.layers.recurrent": "LSTM GRU Recurrent RNN StackedRNNCells",
    "keras.layers.noise": "GaussianNoise GaussianDropout",
    "keras.layers.advanced_activations": "LeakyReLU PReLU ELU ThresholdedReLU",
    "keras.layers.merge": "_Merge add Concatenate dot",
    "keras.legacy.layers": "Highway MaxoutDense Merge AtrousConvolution2D",
    "keras.engine.topology": "Layer InputSpec Container get_source_inputs load_weights_from_hdf5_group_by_name to_list",
    "keras.engine.training": "Model slice_X _slice_arrays _make_batches",
    "keras.engine.saving": "load_weights_from_hdf5_group load_weights_from_hdf5_group_by_name",
    "keras.engine.keras_tensor": "KerasTensor",
    "keras.engine.data_adapter": "unpack_x_y_sample_weight",
    "keras.saving.hdf5_format": "load_weights_from_hdf5_group save_weights_to_hdf5_group",
    "keras.models": "model_from_config slice_X",
    "keras.initializations": "glorot_uniform uniform get_fans",
    "keras.initializers": "_compute_fans he_normal normal",
    "keras.objectives": "mse categorical_crossentropy cosine_proximity",
    "keras.losses": "huber_loss logcosh kld log_cosh Reduction",
    "keras.metrics": "precision recall fmeasure fbeta_score matthews_correlation CosineProximity cosine_similarity",
    "keras.regularizers": "WeightRegularizer activity_l2 l1l2",
    "keras.constraints": "maxnorm nonneg unitnorm",
    "keras.optimizers": "TFOptimizer Nadam Ftrl adam",
    "keras.optimizers.legacy.adam": "Adam",
    "keras.optimizer_v2.optimizer_v2": "OptimizerV2",
    "keras.utils": "multi_gpu_model OrderedEnqueuer GeneratorEnqueuer HDF5Matrix conv_utils np_utils",
    "keras.utils.conv_utils": "normalize_data_format normalize_tuple conv_output_length deconv_length convert_kernel",
    "keras.utils.generic_utils": "Progbar has_arg to_list unpack_singleton slice_arrays CustomObjectScope",
    "keras.utils.layer_utils": "count_params print_summary convert_all_kernels_in_model layer_from_config",
    "keras.utils.image_utils": "smart_resize",
    "keras.utils.io_utils": "HDF5Matrix ask_to_proceed_with_overwrite",
    "keras.preprocessing.image": "flip_axis list_pictures ImageDataGenerator random_rotation",
    "keras.preprocessing.timeseries": "timeseries_dataset_from_array",
    "keras.datasets.data_utils": "get_file",
    "keras.applications.mobilenet": "relu6 DepthwiseConv2D",
    "keras.applications.mobilenetv2": "MobileNetV2 preprocess_input",
    "keras.applications.imagenet_utils": "_obtain_input_shape preprocess_input",
    "keras.backend": "slice image_dim_ordering normalize_data_format",
    "keras.backend.common": "normalize_data_format floatx",
    "keras.backend.tensorflow_backend": "_to_tensor set_session",
    "tensorflow.keras.layers.experimental.preprocessing": "RandomHeight RandomWidth PreprocessingLayer Rescaling",
    "tensorflow.keras.mixed_precision.experimental": "set_policy Policy LossScaleOptimizer",
    "tensorflow.python.keras.utils.tf_utils": "shape_type_conversion",
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("module", USED)
def test_what_scripts_of_all_ages_import_is_found(module):
    missing = {name: check.missing_name(f"{module}.{name}") for name in USED[module].split()}
    assert not {name: said for name, said in missing.items() if said}


def test_names_said_to_be_lacking_are_lacking():
    paths = [f"keras.{space}.{name}".replace("..", ".") for space, names in LACKING.items() for name in names.split()]
    assert len(paths) > 90
    assert not [path for path in paths if check.missing_name(path) is None]
    assert lacking("layers", "TFSMLayer") and not lacking("layers", "Dense")


def _told(call):
    with pytest.warns(DeprecationWarning, match="today"):
        return call()


def test_helpers_that_move_weights_of_layers_between_files(tmp_path):
    """As Mask R-CNN does: an open group, and a list of layers."""
    model = fkeras.Sequential([layers.Dense(2, input_dim=3, name="a"), layers.Dense(1, name="b")])
    model.save(tmp_path / "m.h5")
    weights = model.get_weights()
    utils = fkeras.utils
    with h5py.File(tmp_path / "m.h5") as file:
        for load in (
            fkeras.engine.topology.load_weights_from_hdf5_group_by_name,
            fkeras.engine.saving.load_weights_from_hdf5_group,
        ):
            model.set_weights([w * 0 for w in weights])
            load(file["model_weights"], model.layers)
            for mine, stored in zip(model.get_weights(), weights, strict=True):
                np.testing.assert_array_equal(mine, stored)
    with h5py.File(tmp_path / "n.h5", "w") as file:
        fkeras.saving.save_weights_to_hdf5_group(file, model.layers)
    model.set_weights([w * 0 for w in weights])
    model.load_weights(tmp_path / "n.h5")
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    assert utils.count_params(model.weights) == 11
    again = fkeras.models.model_from_config({"class_name": "Sequential", "config": model.get_config()})
    assert [layer.name for layer in again.layers] == ["a", "b"]


def test_kernels_turn_by_half_a_turn():
    model = fkeras.Sequential([layers.Conv2D(2, (2, 3), input_shape=(4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    before = model.get_weights()
    fkeras.utils.convert_all_kernels_in_model(model)
    np.testing.assert_array_equal(model.get_weights()[0], before[0][::-1, ::-1])
    np.testing.assert_array_equal(model.get_weights()[2], before[2])


def test_lengths_of_convolutions_are_those_of_the_layers():
    for padding, stride, dilation in (("valid", 2, 1), ("same", 3, 1), ("valid", 1, 2), ("causal", 2, 1)):
        wanted = layers.Conv1D(1, 3, strides=stride, padding=padding, dilation_rate=dilation)
        found = fkeras.utils.conv_output_length(11, 3, padding, stride, dilation)
        assert wanted.compute_output_shape((None, 11, 2))[1] == found
    for padding, stride, more in (("valid", 2, None), ("same", 3, None), ("valid", 3, 1), ("same", 2, 1)):
        layer = layers.Conv1DTranspose(1, 4, strides=stride, padding=padding, output_padding=more)
        found = fkeras.utils.deconv_length(7, stride, 4, padding, more)
        assert layer.compute_output_shape((None, 7, 2))[1] == found
    assert fkeras.utils.conv_output_length(None, 3, "same", 1) is None
    assert fkeras.utils.conv_input_length(4, 3, "valid", 2) == 9
    with pytest.raises(ValueError, match="size: expected an int or a tuple of 2, got"):
        fkeras.utils.normalize_tuple((1, 2, 3), 2, "size")


def test_enqueuers_read_again_and_again():
    class Rows(fkeras.utils.Sequence):
        epochs = 0

        def __len__(self):
            return 2

        def __getitem__(self, i):
            return i

        def on_epoch_end(self):
            self.epochs += 1

    rows = Rows()
    enqueuer = fkeras.utils.OrderedEnqueuer(rows, use_multiprocessing=True)
    enqueuer.start(workers=3, max_queue_size=2)
    batches = enqueuer.get()
    assert [next(batches) for _ in range(5)] == [0, 1, 0, 1, 0] and rows.epochs == 2
    enqueuer.stop()
    assert list(batches) == [] and not enqueuer.is_running()


def test_images_grow_as_they_did_and_keep_their_size():
    x = np.zeros((21, 21, 1), "float32")
    x[4, 4] = 1
    for kind, place in (("RandomHeight", (1, 4)), ("RandomWidth", (4, 1))):  # 6 from the middle, times 1.5, is 9
        layer = _told(lambda kind=kind: getattr(layers, kind)((0.5, 0.5)))
        y = np.asarray(layer(x, training=True))[..., 0]
        assert y.shape == (21, 21) and np.unravel_index(np.argmax(y), y.shape) == place


def test_metrics_of_a_batch_are_those_of_keras_1():
    y_true, y_pred = np.array([[1.0], [0.0], [1.0], [1.0]]), np.array([[0.9], [0.8], [0.2], [0.7]])
    metrics = fkeras.metrics
    np.testing.assert_allclose(metrics.precision(y_true, y_pred), 2 / 3, 1e-5)
    np.testing.assert_allclose(metrics.recall(y_true, y_pred), 2 / 3, 1e-5)
    np.testing.assert_allclose(metrics.fbeta_score(y_true, y_pred, beta=2), 2 / 3, 1e-5)
    np.testing.assert_allclose(metrics.matthews_correlation(y_true, y_pred), (0 - 1) / 3, 1e-5)
    model = fkeras.Sequential([layers.Activation("linear", input_shape=(1,))])
    model.compile("sgd", "mse", metrics=["fmeasure", "matthews_correlation"])
    assert model.evaluate(y_pred, y_true, verbose=0)[1:] == pytest.approx([2 / 3, -1 / 3], 1e-4)


def test_old_arguments_of_functions():
    generator = _told(lambda: fkeras.preprocessing.image.ImageDataGenerator(rotation_range=3, dim_ordering="th"))
    assert generator.data_format == "channels_first"
    with pytest.raises(
        TypeError, match="ImageDataGenerator.. has no argument 'rotation'. Did you mean 'rotation_range'"
    ):
        fkeras.preprocessing.image.ImageDataGenerator(rotation=3)
    assert _told(lambda: fkeras.utils.to_categorical([0, 1], nb_classes=3)).shape == (2, 3)
    assert fkeras.utils.to_categorical([0, 1], 2, "uint8").dtype == np.uint8
    with pytest.raises(TypeError, match=r"imdb.load_data\(\) has no argument 'words'"):
        datasets.imdb.load_data(words=3)
    with pytest.raises(TypeError, match="got 'num_words' twice: also as 'nb_words'"):
        datasets.reuters.load_data(num_words=3, nb_words=3)


def test_parts_of_symbols_by_start_and_size():
    x = fkeras.Input((5,))
    part = fkeras.backend.slice(x, [0, 1], [-1, 3])
    assert part.shape == (None, 3)
    np.testing.assert_array_equal(fkeras.backend.slice(np.arange(10).reshape(2, 5), [1, 2], [1, -1]), [[7, 8, 9]])


def test_optimizers_of_tensorflow_are_refused_by_name():
    assert type(fkeras.optimizers.TFOptimizer(fkeras.optimizers.SGD(0.1))).__name__ == "SGD"
    with pytest.raises(ValueError, match=r"TFOptimizer\(object\): TensorFlow's optimizers cannot train here"):
        fkeras.optimizers.TFOptimizer(object())


def test_the_output_size_that_keras_1_asked_for_is_answered():
    with pytest.warns(
        UserWarning, match=r"output_shape=...\): the size of the output follows from strides and padding"
    ):
        layer = layers.Deconvolution2D(4, 3, 3, output_shape=(None, 16, 16, 4), subsample=(2, 2), border_mode="same")
    assert layer.compute_output_shape((None, 8, 8, 1)) == (None, 16, 16, 4)


def test_highway_and_maxout_by_hand():
    x = np.array([[1.0, -2.0]], "float32")
    maxout = layers.MaxoutDense(1, nb_feature=2)
    maxout.build((None, 2))
    maxout.set_weights([np.array([[[1.0], [1.0]], [[2.0], [0.5]]]), np.array([[3.0], [0.0]])])
    np.testing.assert_allclose(maxout(x), [[max(1 - 2 + 3, 2 - 1)]])
    highway = layers.Highway(activation="relu")
    highway.build((None, 2))
    np.testing.assert_array_equal(highway.get_weights()[3], [1, 1])
    highway.set_weights([np.eye(2), np.zeros((2, 2)), np.zeros(2), np.array([0.0, np.log(3)])])
    np.testing.assert_allclose(highway(x), [[1.0, -2 * 0.25]], 1e-6)
    again = type(highway).from_config(highway.get_config())
    assert again.get_config() == highway.get_config()
