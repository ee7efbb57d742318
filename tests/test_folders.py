"""Folders of images, texts and sounds, and windows over series, beside Keras's readers on the same files."""

import struct
import wave

import numpy as np
import pytest

import fkeras
from fkeras import utils
from fkeras.core import optional
from fkeras.utils import resample, sound

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """images/, texts/, sounds/ with classes a (7 files) and b (5)."""
    pil = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("data")
    for name, count in (("a", 7), ("b", 5)):
        for kind in ("images", "texts", "sounds"):
            (folder / kind / name / "more").mkdir(parents=True)
        for i in range(count):
            inner = "more" if i % 3 == 0 else ""
            pixels = RANDOM.integers(0, 256, (*RANDOM.integers(10, 30, 2), 3)).astype("uint8")
            pil.fromarray(pixels).save(folder / "images" / name / inner / f"{i}.png")
            (folder / "texts" / name / inner / f"{i}.txt").write_bytes(f"{name} no {i}: é\r\n".encode())
            write_wav(folder / "sounds" / name / inner / f"{i}.wav", RANDOM.integers(-30000, 30000, (50 + i, 2)), 16)
        (folder / "images" / name / "notes.md").write_text("no image")
        (folder / "images" / ".hidden").mkdir(exist_ok=True)
    return folder


def write_wav(path, samples, bits, rate=800):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        low = samples.astype("<i8").view("u1").reshape(*samples.shape, 8)[..., : bits // 8]
        file.writeframes((samples + 128).astype("u1").tobytes() if bits == 8 else low.tobytes())


@pytest.fixture(scope="module")
def its(keras):
    pytest.importorskip("tensorflow", reason="Keras reads folders through tf.data")
    return keras.utils


def as_arrays(batch):
    """Returns the parts of a batch of Keras as NumPy arrays, texts decoded."""
    arrays = [np.asarray(part) for part in (batch if isinstance(batch, (tuple, list)) else [batch])]
    return [
        np.array([t.decode() for t in a.ravel()], object).reshape(a.shape) if a.dtype == object else a for a in arrays
    ]


def assert_same_batches(got, want, atol):
    got, want = [as_arrays_of_ours(b) for b in got], [as_arrays(b) for b in want]
    assert len(got) == len(want)
    for mine, its in zip(got, want, strict=True):
        assert len(mine) == len(its)
        for a, b in zip(mine, its, strict=True):
            assert a.shape == b.shape
            if b.dtype == object:
                assert a.tolist() == b.tolist()
            else:
                np.testing.assert_allclose(a, b, atol=atol)


def as_arrays_of_ours(batch):
    return list(batch) if isinstance(batch, tuple) else [batch]


IMAGE_SETTINGS = [
    {},
    {"image_size": (8, 9), "label_mode": "binary"},
    {"label_mode": None, "interpolation": "area"},
    {"labels": None, "interpolation": "bicubic"},
    {"labels": [3, 1, 2] * 4, "label_mode": "int"},
    {"labels": [0, 1, 2] * 4, "label_mode": "categorical", "interpolation": "nearest"},
    {"color_mode": "grayscale", "crop_to_aspect_ratio": True, "image_size": (13, 30)},
    {"color_mode": "rgba", "pad_to_aspect_ratio": True, "image_size": (30, 14), "data_format": "channels_first"},
    {"class_names": ["b", "a"], "batch_size": 5, "interpolation": "lanczos3"},
    {"batch_size": None},
]


@pytest.mark.parametrize("settings", IMAGE_SETTINGS, ids=str)
def test_images_are_read_as_by_keras(settings, folder, its, capsys):
    settings = {"image_size": (16, 16), "shuffle": False, **settings}
    want = its.image_dataset_from_directory(folder / "images", **settings)
    said = capsys.readouterr().out
    got = utils.image_dataset_from_directory(folder / "images", **settings)
    assert capsys.readouterr().out == said and got.file_paths == want.file_paths
    assert got.class_names == want.class_names
    # Libraries weigh red, green and blue for gray in integers of their own; TensorFlow's bicubic reads a table.
    assert_same_batches(got, want, 1.01 if "color_mode" in settings else 0.3 if "bicubic" in str(settings) else 5e-3)
    assert next(iter(got.map(lambda *b: b[0]))).dtype == np.float32


@pytest.mark.parametrize(
    "settings", [{}, {"max_length": 4, "label_mode": "categorical"}, {"batch_size": None}], ids=str
)
def test_texts_are_read_as_by_keras(settings, folder, its):
    want = its.text_dataset_from_directory(folder / "texts", shuffle=False, **settings)
    got = utils.text_dataset_from_directory(folder / "texts", shuffle=False, **settings)
    assert got.class_names == want.class_names
    assert_same_batches(got, want, 0)


@pytest.mark.parametrize(
    "settings", [{}, {"output_sequence_length": 30}, {"output_sequence_length": 70, "batch_size": 5}], ids=str
)
def test_sounds_are_read_as_by_keras(settings, folder, its):
    want = its.audio_dataset_from_directory(folder / "sounds", shuffle=False, **settings)
    got = utils.audio_dataset_from_directory(folder / "sounds", shuffle=False, **settings)
    assert_same_batches(got, want, 1e-6)


@pytest.mark.parametrize("subset", ["training", "validation", "both"])
@pytest.mark.parametrize("kind", ["image", "text", "audio"])
def test_a_seed_gives_the_split_that_it_gives_in_keras(kind, subset, folder, its, capsys):
    place = folder / {"image": "images", "text": "texts", "audio": "sounds"}[kind]
    settings = {"validation_split": 0.3, "subset": subset, "seed": 4}
    want = getattr(its, f"{kind}_dataset_from_directory")(place, **settings)
    said = capsys.readouterr().out
    got = getattr(utils, f"{kind}_dataset_from_directory")(place, **settings)
    assert capsys.readouterr().out == said
    for mine, keras_s in zip(*((a if subset == "both" else [a]) for a in (got, want)), strict=True):
        if kind == "image":
            assert mine.file_paths == keras_s.file_paths
        seen = [sorted(str(np.asarray(row).sum() if kind != "text" else row) for b in d for row in b) for d in
                ((as_arrays_of_ours(b)[:1][0] for b in mine), (as_arrays(b)[:1][0] for b in keras_s))]  # fmt: skip
        assert len(seen[0]) == len(seen[1]) and (kind != "text" or seen[0] == seen[1])


def test_parts_are_disjoint_and_whole(folder):
    train, held = utils.image_dataset_from_directory(
        folder / "images", validation_split=0.4, subset="both", verbose=False, seed=1
    )
    every = utils.image_dataset_from_directory(folder / "images", shuffle=False, verbose=False)
    labels = [[y.tolist() for _, y in held] for _ in range(2)]
    assert labels[0] == labels[1] and labels[0][0] == ["/b/" in path for path in held.file_paths]
    assert len(held.file_paths) == 4 and sorted(train.file_paths + held.file_paths) == sorted(every.file_paths)


def test_every_epoch_has_an_order_of_its_own_with_labels_beside(folder):
    data = utils.text_dataset_from_directory(folder / "texts", batch_size=5, seed=3, verbose=False)
    passes = [[t for b, y in data for t, label in zip(b.tolist(), y.tolist(), strict=True)] for _ in range(2)]
    for texts, labels in data:
        assert [data.class_names[y] for y in labels] == [t[0] for t in texts.tolist()]
    assert passes[0] != passes[1] and sorted(passes[0]) == sorted(passes[1]) and len(data) == 3


def test_a_model_trains_on_a_folder(folder):
    data = utils.image_dataset_from_directory(folder / "images", image_size=(8, 8), batch_size=4, seed=1, verbose=False)
    data = data.map(lambda x, y: (x / 255, y), num_parallel_calls=2).cache().shuffle(100).prefetch(2)
    model = fkeras.Sequential([fkeras.layers.Flatten(input_shape=(8, 8, 3)), fkeras.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    loss = model.fit(data, epochs=10, verbose=0).history["loss"]
    assert loss[-1] < loss[0] and model.predict(data, verbose=0).shape == (12, 2)


def test_arguments_that_contradict_each_other(folder, tmp_path):
    place = folder / "images"
    for settings, message in (
        ({"validation_split": 0.2}, r"with validation_split, expected subset as one of \('training', .*got None"),
        ({"subset": "training"}, "subset='training' needs a validation_split, such as 0.2"),
        ({"validation_split": 0.2, "subset": "training"}, r"give a seed \(or shuffle=False\)"),
        ({"validation_split": 2, "subset": "training"}, r"expected validation_split in \(0, 1\), got 2"),
        ({"validation_split": 0.01, "subset": "both", "seed": 1}, "of 12 files leaves none for validation"),
        ({"labels": [1]}, "got 1 labels for 12 files"),
        ({"labels": "guess"}, "expected labels 'inferred', None or a list of ints, got 'guess'"),
        ({"label_mode": "one-hot"}, "expected label_mode as one of .*got 'one-hot'"),
        ({"labels": [0, 1, 2] * 4, "label_mode": "binary"}, "label_mode='binary' needs two classes, got 3"),
        ({"class_names": ["a"]}, r"class_names has to name the folders in .*: \['a', 'b'\], got \['a'\]"),
        ({"class_names": ["a"], "labels": None}, "class_names goes with labels='inferred' only"),
        ({"color_mode": "gray"}, "expected color_mode 'grayscale', 'rgb' or 'rgba', got 'gray'"),
        ({"interpolation": "bilinar"}, "unknown interpolation 'bilinar'. Did you mean 'bilinear'"),
        ({"image_size": 224}, r"expected image_size as \(height, width\), got 224"),
        ({"format": "torch"}, "expected format None, 'tf' or 'grain', got 'torch'"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "got both"),
    ):
        with pytest.raises(ValueError, match=message) as err:
            utils.image_dataset_from_directory(place, verbose=False, **settings)
        assert len(str(err.value)) < 300
    with pytest.raises(
        ValueError, match=r"there are no files in .* that end in \.txt, in folders named as their classes"
    ):
        utils.text_dataset_from_directory(place)
    with pytest.raises(ValueError, match="there is no folder 'nowhere'"):
        utils.text_dataset_from_directory("nowhere")
    with pytest.raises(ValueError, match="ragged=True gives sounds of many lengths; give output_sequence_length"):
        utils.audio_dataset_from_directory(folder / "sounds", ragged=True)


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
def test_images_of_every_kind_are_read_as_by_keras(color_mode, tmp_path, its):
    """Of 1, 8 and 16 bits, with palettes, with transparency."""
    pil = pytest.importorskip("PIL.Image")
    pixels = RANDOM.integers(0, 256, (8, 8, 4)).astype("uint8")
    (tmp_path / "a").mkdir()
    for name, img in {
        "16": pil.fromarray(RANDOM.integers(0, 65536, (8, 8)).astype("uint16")),
        "gray": pil.fromarray(pixels[..., 0]),
        "gray and alpha": pil.fromarray(pixels[..., :2], "LA"),
        "alpha": pil.fromarray(pixels),
        "palette": pil.fromarray(pixels[..., :3]).quantize(16),
        "black and white": pil.fromarray(pixels[..., 0] > 128),
    }.items():
        img.save(tmp_path / "a" / f"{name}.png")
    settings = {"color_mode": color_mode, "image_size": (8, 8), "shuffle": False, "verbose": False}
    want = its.image_dataset_from_directory(tmp_path, **settings)
    assert_same_batches(utils.image_dataset_from_directory(tmp_path, **settings), want, 1.0)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    (tmp_path / "a" / "bad.wav").write_bytes(b"RIFF....WAVEfmt ")
    with pytest.raises(ValueError, match=r"Cannot read the image '.*bad\.png': .* Is it damaged, or no image\?"):
        list(utils.image_dataset_from_directory(tmp_path, verbose=False))
    with pytest.raises(ValueError, match=r"Cannot read '.*bad\.wav': the WAV file is damaged"):
        list(utils.audio_dataset_from_directory(tmp_path, verbose=False))


def test_without_pillow_the_message_says_what_to_install(folder, monkeypatch):
    import importlib

    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(optional, "importlib", type("Importer", (), {"import_module": staticmethod(missing)}))
    assert importlib.import_module  # the real one is untouched
    for call in (
        lambda: utils.image_dataset_from_directory(folder / "images"),
        lambda: utils.load_img("x.png"),
        lambda: utils.array_to_img(np.zeros((2, 2, 3))),
    ):
        with pytest.raises(
            ImportError, match=r"needs Pillow, which cannot be imported .* pip install 'fkeras\[images\]'"
        ):
            call()


# ------------------------------------------------------------------------------------- one file or array


@pytest.mark.parametrize("method", resample.METHODS)
def test_resized_images_are_tensorflows(method):
    tf = pytest.importorskip("tensorflow")
    for shape, size in (((37, 50, 3), (20, 64)), ((20, 30, 1), (61, 17)), ((9, 9, 3), (9, 5)), ((8, 6, 4), (8, 6))):
        x = RANDOM.integers(0, 256, shape).astype("uint8")
        want = tf.image.resize(x[None], size, method).numpy()[0]
        # TensorFlow takes bicubic weights from a table of 1024.
        np.testing.assert_allclose(resample.resize(x, size, method), want, atol=0.3 if method == "bicubic" else 5e-3)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_wav_files_of_every_width(bits, tmp_path):
    samples = RANDOM.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (9, 2))
    write_wav(tmp_path / "x.wav", samples, bits)
    audio, rate = sound.read_wav(tmp_path / "x.wav")
    assert rate == 800 and audio.dtype == np.float32
    np.testing.assert_allclose(audio, samples / 2.0 ** (bits - 1), atol=1e-7)


@pytest.mark.parametrize("kind, body", [("<f4", b""), ("<f8", b""), ("<f4", b"LIST\x03\0\0\0abc\0")])
def test_wav_files_of_floats_and_other_chunks(kind, body, tmp_path):
    samples = np.linspace(-1, 1, 6).reshape(3, 2).astype(kind)
    width = samples.itemsize
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 2, 100, 100 * 2 * width, 2 * width, 8 * width) + body
    data = struct.pack("<4sI", b"data", samples.nbytes) + samples.tobytes()
    (tmp_path / "x.wav").write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(chunk + data), b"WAVE") + chunk + data)
    np.testing.assert_allclose(sound.read_wav(tmp_path / "x.wav")[0], samples, atol=1e-7)


def test_sounds_brought_to_another_rate_keep_their_tone(tmp_path):
    """A tone of 20 Hz stays one; one of 180 Hz, above half of the new rate, is gone and not folded down."""
    t = np.arange(800) / 800
    tones = np.stack([np.sin(2 * np.pi * 20 * t), np.sin(2 * np.pi * 180 * t)], 1) * 30000
    (tmp_path / "a").mkdir()
    write_wav(tmp_path / "a" / "x.wav", tones.astype(int), 16)
    data = utils.audio_dataset_from_directory(tmp_path, sampling_rate=200, verbose=False)
    audio, _ = next(iter(data))
    assert audio.shape == (1, 200, 2)
    want = np.sin(2 * np.pi * 20 * (np.arange(200) + 0.5) / 200 - 2 * np.pi * 20 * 0.5 / 800) * 30000 / 32768
    np.testing.assert_allclose(audio[0, 20:-20, 0], want[20:-20], atol=0.02)
    assert np.abs(audio[0, 20:-20, 1]).max() < 0.05


@pytest.mark.parametrize(
    "settings",
    [
        {"sequence_length": 3},
        {"sequence_length": 4, "sequence_stride": 2, "sampling_rate": 3},
        {"sequence_length": 4, "start_index": 3, "end_index": 20},
        {"sequence_length": 4, "batch_size": None, "sampling_rate": 2},
        {"sequence_length": 5, "start_index": 5, "sequence_stride": 3},
    ],
    ids=str,
)
def test_windows_over_series_are_keras(settings, its):
    data = np.arange(30)
    for targets in (np.arange(30) * 10, np.arange(25) * 10, None):
        settings = {"batch_size": 4, **settings}
        want = list(its.timeseries_dataset_from_array(data, targets, **settings))
        got = list(utils.timeseries_dataset_from_array(data, targets, **settings))
        assert_same_batches(got, want, 0)


def test_windows_are_shuffled_and_refused():
    data = utils.timeseries_dataset_from_array(np.arange(50), None, 3, shuffle=True, seed=1, batch_size=48)
    one, two = (next(iter(data)) for _ in range(2))
    assert one.tolist() != two.tolist() and sorted(one.tolist()) == sorted(two.tolist())
    for settings, message in (
        ({"sequence_length": 60}, r"expected sequence_length in \[1, 50\), got 60"),
        ({"sequence_length": 20, "sampling_rate": 3}, "no window of 58 steps fits into 50 steps"),
        ({"sequence_length": 3, "start_index": 50}, r"expected start_index in \[0, 50\), got 50"),
        ({"sequence_length": 3, "end_index": 99}, r"expected end_index in \(0, 50\], got 99"),
    ):
        with pytest.raises(ValueError, match=message):
            utils.timeseries_dataset_from_array(np.arange(50), None, **settings)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_between_files_and_arrays_are_keras(channels, tmp_path, keras):
    x = RANDOM.random((20, 31, channels)) * 300
    for scale in (True, False):
        mine, its = utils.array_to_img(x, scale=scale), keras.utils.array_to_img(x, scale=scale)
        assert mine.mode == its.mode and np.array_equal(np.asarray(mine), np.asarray(its))
    first = utils.array_to_img(x.transpose(2, 0, 1), data_format="channels_first")
    assert np.array_equal(np.asarray(first), np.asarray(utils.array_to_img(x)))
    utils.save_img(tmp_path / "x.png", np.clip(x, 0, 255))
    utils.save_img(tmp_path / "x.jpg", np.clip(x, 0, 255), quality=90)
    for settings in (
        {},
        {"target_size": (9, 13)},
        {"color_mode": "grayscale", "target_size": (9, 13), "interpolation": "bicubic"},
        {"color_mode": "rgba", "target_size": (9, 9), "keep_aspect_ratio": True, "interpolation": "lanczos"},
        {"target_size": (30, 13), "keep_aspect_ratio": True},
    ):
        for name in ("x.png", "x.jpg"):
            mine, its = (u.load_img(tmp_path / name, **settings) for u in (utils, keras.utils))
            assert mine.mode == its.mode and np.array_equal(np.asarray(mine), np.asarray(its)), settings
            for kw in ({}, {"data_format": "channels_first", "dtype": "float64"}):
                a, b = utils.img_to_array(mine, **kw), keras.utils.img_to_array(its, **kw)
                assert a.dtype == b.dtype and np.array_equal(a, b)


def test_smart_resize_is_keras(keras):
    x = RANDOM.random((2, 34, 50, 3)).astype("f")
    for size in ((20, 20), (60, 30), (10, 40)):
        want = keras.preprocessing.image.smart_resize(x, size)
        got = fkeras.preprocessing.image.smart_resize(x, size)
        assert isinstance(got, np.ndarray)
        np.testing.assert_allclose(got, want, atol=1e-5)
        first = fkeras.preprocessing.image.smart_resize(x[0].transpose(2, 0, 1), size, data_format="channels_first")
        np.testing.assert_allclose(first.transpose(1, 2, 0), got[0], atol=1e-6)
