"""Architectures: the structure of Keras's own (a stored table), their arguments, files that go both ways, training.

`python -m benchmarks.applications judge` compares all of them with real Keras, with outputs.
"""

import hashlib
import inspect
import json
import pathlib

import numpy as np
import pytest

import fkeras
from fkeras import applications, layers
from fkeras.applications import builder, imagenet_utils

KERAS = json.loads((pathlib.Path(__file__).parent / "fixtures" / "applications.json").read_text())
TABLE = KERAS["structure"]
SAMPLE = ("VGG16", "ResNet50", "ResNet50V2", "MobileNet", "MobileNetV2", "EfficientNetV2B3", "InceptionV3", "Xception",
          "ConvNeXtTiny", "DenseNet121", "MobileNetV3Small", "EfficientNetB0", "NASNetMobile")  # fmt: skip
SMALL = {"input_shape": (32, 32, 3), "alpha": 0.35, "classes": 4}  # of MobileNetV2


def structure(model):
    names = [layer["config"]["name"] for layer in model.get_config()["layers"]]
    return [model.count_params(), len(names), hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]]


@pytest.mark.parametrize("name", SAMPLE)
def test_an_architecture_has_the_layers_and_weights_of_keras(name):
    assert structure(getattr(applications, name)(weights=None)) == TABLE[name]


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(TABLE) - set(SAMPLE)))
def test_every_other_architecture_has_the_layers_and_weights_of_keras(name):
    assert structure(getattr(applications, name)(weights=None)) == TABLE[name]


def test_names_signatures_and_modules_are_keras(keras):
    theirs = keras.applications
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert set(applications.__all__) == set(dir(applications)) == public
    for name in sorted(public):
        one, other = getattr(applications, name), getattr(theirs, name)
        if inspect.ismodule(one):
            assert {n for n in dir(other) if not n.startswith("_")} == set(dir(one)), name
        else:
            assert str(inspect.signature(one)) == str(inspect.signature(other)), name
            assert one.__name__ == name and "Reference:" in one.__doc__
    assert applications.resnet.ResNet50 is applications.ResNet50 is applications.resnet50.ResNet50


def test_addresses_and_hashes_of_weights_are_keras(monkeypatch):
    """What each asks for, with and without top; nothing is downloaded, and no network is built before."""

    class AskedError(Exception):
        pass

    def ask(fname, origin, cache_subdir, file_hash):
        assert cache_subdir == "models"
        raise AskedError(fname, origin, file_hash)

    monkeypatch.setattr(builder, "get_file", ask)
    assert {row[0] for row in KERAS["files"]} == set(TABLE)
    for name, kwargs, *wanted in KERAS["files"]:
        with pytest.raises(AskedError) as found:
            getattr(applications, name)(**kwargs)
        assert list(found.value.args) == wanted, (name, kwargs)


def test_keras_and_fkeras_read_each_others_files(keras, tmp_path):
    theirs = keras.applications.MobileNetV2(**SMALL, weights=None)
    rng = np.random.default_rng(0)
    theirs.set_weights([w + rng.uniform(0, 0.1, w.shape).astype("float32") for w in theirs.get_weights()])
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours = applications.MobileNetV2(**SMALL, weights=str(tmp_path / "theirs.weights.h5"))
    ours.save(tmp_path / "ours.keras")
    for model in (
        ours,
        fkeras.models.load_model(tmp_path / "ours.keras", compile=False),
        keras.models.load_model(tmp_path / "ours.keras", compile=False),
    ):
        assert [layer.name for layer in model.layers][1:] == [layer.name for layer in theirs.layers][1:]
        for one, other in zip(model.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_layers_that_only_applications_use_go_both_ways(keras, tmp_path):
    """ConvNeXt's scale, InceptionResNet's sum, and the operations of MobileNetV3's hard sigmoid."""
    from keras.src.applications import convnext, inception_resnet_v2

    from fkeras.layers.scaling import CustomScaleLayer, LayerScale

    def model(of, scale, total):
        x = of.Input((4, 4, 3), name="x")
        y = scale(1e-2, 3, name="scale")(x)
        y = total(0.17, name="sum")([x, y])
        y = of.layers.ReLU(6.0, name="six")(y + 3.0) * (1.0 / 6.0)
        return of.Model(x, y, name="m")

    ours = model(fkeras, LayerScale, CustomScaleLayer)
    theirs = model(keras, convnext.LayerScale, inception_resnet_v2.CustomScaleLayer)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    wanted = np.asarray(theirs(x))
    np.testing.assert_allclose(ours(x), wanted, 1e-5, 1e-6)
    theirs.save(tmp_path / "theirs.keras"), ours.save(tmp_path / "ours.keras")
    np.testing.assert_allclose(fkeras.models.load_model(tmp_path / "theirs.keras")(x), wanted, 1e-5, 1e-6)
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "ours.keras")(x), wanted, 1e-5, 1e-6)


def test_a_trunk_on_another_input_trains():
    """Pixels are scaled within the graph, and all but the last convolution is frozen."""
    inputs = layers.Input((32, 32, 3), name="pixels")
    x = applications.mobilenet_v2.preprocess_input(inputs)
    trunk = applications.MobileNetV2(input_tensor=x, alpha=0.35, include_top=False, weights=None, pooling="avg")
    assert [s.node.layer.name for s in trunk.inputs] == ["pixels"] and trunk.output_shape == (None, 1280)
    for layer in trunk.layers[:-4]:
        layer.trainable = False
    model = fkeras.Model(trunk.input, layers.Dense(2, "softmax")(trunk.output))
    model.compile("adam", "sparse_categorical_crossentropy")
    before = trunk.get_weights()
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    history = model.fit(pixels, np.array([0, 1, 0, 1]), batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    moved = [not np.array_equal(a, b) for a, b in zip(before, trunk.get_weights(), strict=True)]
    assert moved[-5] and not any(moved[:-5])  # the kernel of that convolution; the arrays of its norm follow


def test_sizes_pools_and_names_follow_the_arguments():
    def shape(name, **kwargs):
        return getattr(applications, name)(weights=None, **kwargs).output_shape

    assert shape("VGG16", include_top=False, pooling="max", input_shape=(64, 32, 1)) == (None, 512)
    assert shape("VGG19", include_top=False) == (None, None, None, 512)
    assert shape("MobileNet", alpha=0.25, classes=3, input_shape=(64, 64, 3)) == (None, 3)
    assert applications.MobileNet((64, 96, 3), 0.5, weights=None, include_top=False).name == "mobilenet_0.50_96"
    named = applications.MobileNetV2(weights=None, include_top=False, alpha=0.35, name="trunk")
    assert named.name == "trunk" and named.input_shape == (None, None, None, 3)


def test_channels_come_first_where_the_process_says_so():
    wanted = applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(32, 32, 3))
    fkeras.config.set_image_data_format("channels_first")
    try:
        model = applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(3, 32, 32))
        assert model.output_shape == (None, 576, 1, 1)
        assert applications.VGG16(weights=None, include_top=False).input_shape == (None, 3, None, None)
        with pytest.raises(ValueError, match="ConvNeXt: expected images with channels last"):
            applications.ConvNeXtTiny(weights=None)
    finally:
        fkeras.config.set_image_data_format("channels_last")
    assert model.count_params() == wanted.count_params()


@pytest.mark.parametrize("mode", imagenet_utils.MODES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_pixels_are_scaled_as_keras_does(keras, mode, data_format):
    theirs = keras.applications.imagenet_utils.preprocess_input
    x = np.random.default_rng(0).uniform(0, 255, (2, 3, 3, 3)).astype("float32")
    for given in (x, x[0], x.astype("uint8"), x.astype("float64")):
        before = given.copy()
        got = imagenet_utils.preprocess_input(given, data_format, mode)
        wanted = theirs(given.copy(), data_format, mode)
        assert isinstance(got, np.ndarray) and got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, 1e-5, 1e-4)
        np.testing.assert_array_equal(given, before)
    symbol = layers.Input(x.shape[1:])
    model = fkeras.Model(symbol, imagenet_utils.preprocess_input(symbol, data_format, mode))
    np.testing.assert_allclose(model(x), theirs(x.copy(), data_format, mode), 1e-5, 1e-4)


def test_families_scale_pixels_as_keras_does(keras):
    x = np.random.default_rng(0).uniform(0, 255, (1, 2, 2, 3)).astype("float32")
    for module in applications.BUILDERS:
        own, theirs = getattr(applications, module), getattr(keras.applications, module)
        np.testing.assert_allclose(own.preprocess_input(x), theirs.preprocess_input(x.copy()), 1e-5, 1e-4)


def test_predictions_are_decoded_likeliest_first(tmp_path, monkeypatch):
    index = {str(i): [f"n{i:08d}", f"class {i}"] for i in range(1000)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    asked = []
    monkeypatch.setattr(
        imagenet_utils, "get_file", lambda *a, **k: asked.append((a, k)) or str(tmp_path / "index.json")
    )
    predictions = np.zeros((2, 1000), "float32")
    predictions[0, [7, 3]] = 0.6, 0.4
    predictions[1, 999] = 1
    decoded = applications.resnet.decode_predictions(predictions, top=2)
    assert decoded[0] == [("n00000007", "class 7", np.float32(0.6)), ("n00000003", "class 3", np.float32(0.4))]
    assert len(decoded) == 2 and decoded[1][0][:2] == ("n00000999", "class 999")
    assert asked[0][1] == {"cache_subdir": "models", "file_hash": "c2c37ea517e94d9795004a39431a14cb"}
    with pytest.raises(ValueError, match=r"expected an array \[B, 1000\] of probabilities, got shape \(2, 10\)"):
        imagenet_utils.decode_predictions(np.zeros((2, 10)))


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: applications.ResNet50(weights="imagenets"), "or the path of a file of weights, got 'imagenets'"),
        (lambda: applications.ResNet50(classes=10), "expected classes=1000 with weights='imagenet' and inc"),
        (lambda: applications.VGG16(weights=None, pooling="mean"), "expected pooling None, 'avg' or 'max', got 'mean'"),
        (lambda: applications.ResNet50(input_shape=(32, 32, 3)), r"expected input_shape=\(224, 224, 3\) with weights="),
        (lambda: applications.ResNet50(classifier_activation="relu"), "expected classifier_activation None or"),
        (lambda: applications.ResNet50(weights=None, input_shape=(31, 40, 3)), "expected sides of at least 32 pixels"),
        (lambda: applications.VGG16(weights=None, input_shape=(None, None, 3)), "expected known sides with"),
        (lambda: applications.ResNet50(include_top=False, input_shape=(64, 64, 1)), "expected 3 channels with"),
        (lambda: applications.ResNet50(weights=None, input_shape=(64, 64)), "expected input_shape of three sizes"),
        (lambda: applications.MobileNetV2(alpha=0.4), "expected alpha to be one of 0.35, 0.5, 0.75, 1.0, 1.3, 1.4"),
        (lambda: applications.MobileNetV3Large(alpha=0.5), "expected alpha 0.75 or 1.0"),
        (lambda: applications.mobilenet.preprocess_input(np.ones((2, 2, 3)), "first"), "channels_last"),
        (lambda: imagenet_utils.preprocess_input(np.ones((2, 2, 3)), mode="torhc"), "Did you mean 'torch'"),
    ],
)  # fmt: skip
def test_messages(make, said):
    with pytest.raises(ValueError, match=said) as raised:
        make()
    assert len(str(raised.value)) < 300


def test_messages_of_calls():
    with pytest.raises(
        TypeError, match="VGG16: got an unexpected keyword argument 'include_tops'. Did you mean 'include_top'"
    ):
        applications.VGG16(include_tops=False)
    with pytest.raises(TypeError, match="expected input_tensor to be a value of a graph, such as Input"):
        applications.VGG16(weights=None, input_tensor=np.ones((1, 32, 32, 3)))
    with pytest.raises(AttributeError, match="fkeras.applications has no 'ResNet5'. Did you mean 'ResNet50'"):
        _ = applications.ResNet5
    with pytest.warns(UserWarning, match="images have 1 or 3 channels"):
        applications.MobileNetV2(weights=None, include_top=False, alpha=0.35, input_shape=(32, 32, 5))
