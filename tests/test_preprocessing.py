"""Keras 2's preprocessing on the host, number by number beside Keras's own, with the same seeds."""

import contextlib
import itertools
import json
import random

import numpy as np
import pytest

import fkeras
from fkeras.preprocessing import affine, image, sequence, text
from tests.ids import plain

IMAGES = (np.random.default_rng(0).random((7, 12, 9, 3)) * 255).astype("float32")
LABELS = np.array([0, 1, 0, 1, 1, 0, 0])


@pytest.fixture(scope="module")
def its(keras):
    """Keras's legacy modules."""
    from keras.src.legacy.preprocessing import image, sequence, text

    return {"image": image, "sequence": sequence, "text": text}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two classes, some deeper, and files that are none."""
    pil = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("images")
    for name, count in (("cat", 6), ("dog", 5)):
        (folder / name / "more").mkdir(parents=True)
        (folder / name / "notes.txt").write_text("no image")
        for i in range(count):
            pixels = np.random.default_rng([count, i]).integers(0, 256, (8 + i, 10, 3)).astype("uint8")
            pil.fromarray(pixels).save(folder / name / ("more" if i % 3 == 2 else "") / f"{i}.png")
    return folder


def seeded(call, seed=3):
    """Returns what a call returns when both of the global generators start at `seed`."""
    np.random.seed(seed)
    random.seed(seed)
    return call()


def assert_same(got, want, atol=0.0):
    """Holds that two trees of arrays have the same form, dtypes and numbers."""
    if isinstance(want, (tuple, list)) and not isinstance(want, np.ndarray):
        assert type(got) is type(want) and len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            assert_same(a, b, atol)
        return
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=atol)


# --------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize("mode", affine.FILL_MODES)
@pytest.mark.parametrize("order", range(6))
def test_sampled_images_are_scipys(order, mode):
    ndimage = pytest.importorskip("scipy.ndimage")
    drawn = np.random.default_rng(order)
    matrix, offset = np.eye(2) + drawn.normal(0, 0.3, (2, 2)), drawn.normal(0, 8, 2)
    for x in (IMAGES[0], IMAGES[0].astype("uint8"), IMAGES[0].astype("float64")):
        want = [
            ndimage.affine_transform(c, matrix, offset, order=order, mode=mode, cval=3.0) for c in x.T.swapaxes(1, 2)
        ]
        got = affine.sample(x, matrix, offset, order, mode, 3.0)
        # Beside a border that goes on, SciPy's recursive filter ends after a few pixels: 1e-4 of the range for order 5.
        loose = order > 3 and mode == "nearest"
        atol = 0.03 if loose else 1e-3 if x.dtype == np.float32 else 1e-4
        np.testing.assert_allclose(got, np.stack(want, -1), atol=1.0 if x.dtype == np.uint8 and loose else atol)
        assert got.dtype == x.dtype


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (1, 0, 2)])
@pytest.mark.parametrize(
    "settings",
    [
        {"theta": 30},
        {"tx": 3.2, "ty": -2},
        {"shear": 20, "fill_mode": "reflect"},
        {"zx": 0.7, "zy": 1.4, "fill_mode": "constant", "cval": 7},
        {"theta": 10, "shear": 5, "zx": 1.2, "tx": 2, "fill_mode": "wrap", "order": 3},
        {},
    ],
    ids=plain,
)
def test_affine_transforms_are_keras(settings, axes, its):
    x = IMAGES[0].transpose(np.argsort(axes))
    settings = {**settings, "row_axis": axes[0], "col_axis": axes[1], "channel_axis": axes[2]}
    want = its["image"].apply_affine_transform(x.copy(), **settings)
    np.testing.assert_allclose(image.apply_affine_transform(x.copy(), **settings), want, atol=1e-3)


@pytest.mark.parametrize(
    "name, args",
    [
        ("random_rotation", (30,)),
        ("random_shift", (0.2, 0.3)),
        ("random_shear", (20,)),
        ("random_zoom", ((0.5, 1.5),)),
        ("random_zoom", ((1, 1),)),
        ("random_channel_shift", (30,)),
        ("apply_channel_shift", (12.5,)),
        ("random_brightness", ((0.5, 2.0),)),
        ("apply_brightness_shift", (0.4, False)),
    ],
    ids=plain,
)
def test_single_steps_are_keras(name, args, its):
    x = IMAGES[1] if "bright" in name else IMAGES[1].transpose(2, 0, 1)
    want = seeded(lambda: getattr(its["image"], name)(x.copy(), *args))
    assert_same(seeded(lambda: getattr(image, name)(x.copy(), *args)), want, 1e-3)


SETTINGS = [
    {},
    {"rescale": 1 / 255},
    {"rotation_range": 40, "width_shift_range": 0.2, "height_shift_range": 0.2, "shear_range": 0.2, "zoom_range": 0.2,
     "horizontal_flip": True, "fill_mode": "nearest", "rescale": 1 / 255},  # the tutorial's
    {"width_shift_range": 3, "height_shift_range": [1, 2], "vertical_flip": True, "fill_mode": "wrap"},
    {"zoom_range": [0.5, 1.5], "channel_shift_range": 20.0, "fill_mode": "constant", "cval": 5.0, "dtype": "float64"},
    {"brightness_range": (0.5, 1.5), "interpolation_order": 3, "rotation_range": 10, "fill_mode": "reflect"},
    {"samplewise_center": True, "samplewise_std_normalization": True},
    {"featurewise_center": True, "featurewise_std_normalization": True, "rescale": 1 / 255},
    {"zca_whitening": True, "featurewise_center": True, "zca_epsilon": 1e-2},
    {"preprocessing_function": lambda x: x[..., ::-1] / 127.5 - 1, "horizontal_flip": True},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(s))
def test_augmented_batches_are_keras(settings, its):
    def run(module):
        generator = module.ImageDataGenerator(**settings)
        if any(name in settings for name in ("featurewise_center", "zca_whitening")):
            generator.fit(IMAGES, augment=True, rounds=2, seed=1)
        flow = generator.flow(IMAGES, LABELS, batch_size=3, seed=5)
        unseeded = generator.flow(IMAGES, batch_size=4, shuffle=False)
        return [next(flow) for _ in range(5)], [unseeded[i] for i in (0, 1)], generator.random_transform(IMAGES[2], 9)

    want = seeded(lambda: run(its["image"]))
    # Whitening multiplies 300 pixels; the singular vectors come from LAPACK either way.
    assert_same(seeded(lambda: run(image)), want, 2e-3 if "zca_whitening" in settings else 1e-3)


def test_settings_that_need_others_say_so():
    with pytest.warns(UserWarning, match="featurewise_std_normalization=True needs featurewise_center=True"):
        generator = image.ImageDataGenerator(featurewise_std_normalization=True)
    with pytest.warns(UserWarning, match=r"do nothing before fit\(x\) has found"):
        generator.standardize(IMAGES[0].copy())
    with pytest.raises(ValueError, match=r"expected fill_mode as one of \('constant', .*got 'edge'"):
        image.ImageDataGenerator(fill_mode="edge")
    with pytest.raises(ValueError, match=r"zoom_range as a number or \(low, high\), got \[1\]"):
        image.ImageDataGenerator(zoom_range=[1])


@pytest.mark.parametrize("subset", ["training", "validation", None])
def test_flow_of_many_inputs_weights_and_parts(subset, its):
    def run(module):
        generator = module.ImageDataGenerator(validation_split=0.4, horizontal_flip=True)
        weight, more = np.arange(7.0), np.arange(14).reshape(7, 2)
        weight = None if subset else weight  # of a part Keras takes the weights of the first rows
        flow = generator.flow((IMAGES, [more]), LABELS, 2, sample_weight=weight, subset=subset, seed=2, shuffle=False)
        return [flow[i] for i in range(len(flow))], flow.n, len(flow)

    assert_same(seeded(lambda: run(image)), seeded(lambda: run(its["image"])), 1e-3)


def test_weights_of_a_part_are_those_of_its_rows():
    flow = image.ImageDataGenerator(validation_split=0.4).flow(
        IMAGES, np.arange(7.0), 9, sample_weight=np.arange(7), shuffle=False, subset="training", ignore_class_split=True
    )
    _, y, weight = flow[0]
    assert y.tolist() == weight.tolist() == [2, 3, 4, 5, 6]


def test_flow_refuses_what_does_not_fit():
    generator = image.ImageDataGenerator(validation_split=0.5)
    with pytest.raises(ValueError, match="as many rows as the images, 7; y has 6"):
        generator.flow(IMAGES, LABELS[:6])
    with pytest.raises(ValueError, match="parts of validation_split hold different classes"):
        generator.flow(IMAGES, np.arange(7), subset="training")
    with pytest.raises(ValueError, match=r"expected images \[N, H, W, C\], got an array of shape \(12, 9, 3\)"):
        generator.flow(IMAGES[0])


def test_a_loop_over_a_flow_has_no_end_and_passes_are_shuffled_anew(its):
    def run(module):
        flow = module.ImageDataGenerator().flow(IMAGES, LABELS, batch_size=3, seed=4)
        return list(itertools.islice(flow, 7))

    assert_same(run(image), run(its["image"]))


def attributes(flow):
    names = ("filenames", "class_indices", "samples", "num_classes", "image_shape", "n", "batch_size")
    return {name: getattr(flow, name) for name in names if hasattr(flow, name)}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"class_mode": "binary", "target_size": (6, 7), "interpolation": "bilinear"},
        {"class_mode": "sparse", "color_mode": "grayscale", "subset": "training"},
        {"class_mode": "input", "subset": "validation", "keep_aspect_ratio": True, "target_size": (6, 12)},
        {"class_mode": None, "classes": ["dog"], "shuffle": False},
        {"classes": ["dog", "cat"], "color_mode": "rgba", "target_size": (5, 5)},
    ],
    ids=plain,
)
def test_folders_are_read_as_by_keras(settings, folder, its, capsys):
    def run(module):
        generator = module.ImageDataGenerator(rescale=1 / 255, rotation_range=20, validation_split=0.34)
        flow = generator.flow_from_directory(str(folder), batch_size=4, seed=7, **settings)
        found = attributes(flow)
        assert flow.classes.tolist() == flow.labels.tolist() and len(flow.filepaths) == flow.samples
        return found, flow.classes.tolist(), [next(flow) for _ in range(4)]

    want = run(its["image"])
    said = capsys.readouterr().out
    got = run(image)
    assert got[:2] == want[:2] and capsys.readouterr().out == said
    assert_same(got[2], want[2], 1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"class_mode": "binary", "weight_col": "weight"},
        {"class_mode": "sparse", "classes": ["dog", "cat"], "subset": "training"},
        {"class_mode": "raw", "y_col": "number", "subset": "validation"},
        {"class_mode": "raw", "y_col": ["number", "weight"]},
        {"class_mode": "multi_output", "y_col": ["number", "weight"]},
        {"class_mode": None},
        {"class_mode": "input", "target_size": (4, 5)},
        {"y_col": "many"},
        {"y_col": "many", "classes": ["a", "c"]},
        {"validate_filenames": False, "x_col": "good"},
    ],
    ids=plain,
)
def test_tables_are_read_as_by_keras(settings, folder, its, capsys):
    pandas = pytest.importorskip("pandas")
    names = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*.png"))]
    table = pandas.DataFrame(
        {
            "filename": [*names[:-1], "gone.png"],
            "good": names,
            "class": [n.split("/")[0] for n in names],
            "many": [["a", "b"], ["b"], "c"] * 3 + [["c", "a"], "a"],
            "number": np.arange(len(names)),
            "weight": np.linspace(0, 1, len(names)),
        }
    )

    def run(module):
        generator = module.ImageDataGenerator(horizontal_flip=True, validation_split=0.3)
        flow = generator.flow_from_dataframe(
            table, str(folder), batch_size=4, seed=7, **{"target_size": (6, 7), **settings}
        )
        labels = getattr(flow, "labels", None) if settings.get("class_mode") not in (None, "input") else None
        labels = labels if isinstance(labels, list) or labels is None else np.asarray(labels).tolist()
        return attributes(flow), labels if "raw" in settings else None, [next(flow) for _ in range(4)]

    complete = settings.get("x_col") == "good"
    with contextlib.nullcontext() if complete else pytest.warns(UserWarning):
        want = run(its["image"])
    said = capsys.readouterr().out
    with contextlib.nullcontext() if complete else pytest.warns(UserWarning, match="1 of 11 files in the column"):
        got = run(image)
    assert got[:2] == want[:2] and capsys.readouterr().out == said
    assert_same(got[2], want[2], 1e-5)


def test_tables_that_do_not_fit_are_refused(folder):
    generator = image.ImageDataGenerator()
    table = {"filename": ["a.png"], "class": [1]}
    with pytest.raises(TypeError, match=r"needs a column y_col of strings; astype\(str\) makes them of numbers"):
        generator.flow_from_dataframe(table, folder)
    with pytest.raises(ValueError, match=r"the table has no column 'path': \['filename', 'class'\]"):
        generator.flow_from_dataframe(table, folder, x_col="path")
    with pytest.raises(ValueError, match="there is no folder 'nowhere'"):
        generator.flow_from_directory("nowhere")
    with pytest.raises(ValueError, match="expected class_mode as one of .*got 'one-hot'"):
        generator.flow_from_directory(folder, class_mode="one-hot")


def test_pictures_are_written_to_be_looked_at(folder, tmp_path):
    flow = image.ImageDataGenerator().flow(IMAGES, batch_size=4, save_to_dir=tmp_path / "seen", save_prefix="a")
    next(flow)
    names = sorted(p.name for p in (tmp_path / "seen").iterdir())
    assert len(names) == 4 and all(name.startswith("a_") and name.endswith(".png") for name in names)
    assert image.load_img(tmp_path / "seen" / names[0]).size == (9, 12)


def test_models_train_on_flows_pass_by_pass(folder):
    """Each epoch is a pass, and predictions lie in the order of the files whatever was read before."""
    generator = image.ImageDataGenerator(rescale=1 / 255)
    flow = generator.flow_from_directory(folder, (6, 6), class_mode="sparse", batch_size=4, seed=1)
    test = generator.flow_from_directory(folder, (6, 6), class_mode="sparse", batch_size=4, shuffle=False)
    model = fkeras.Sequential([fkeras.layers.Flatten(input_shape=(6, 6, 3)), fkeras.layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    seen = []
    flow._get_batches_of_transformed_samples = lambda rows, read=flow._get_batches_of_transformed_samples: (
        seen.append(rows),
        read(rows),
    )[1]
    history = model.fit(flow, epochs=3, validation_data=test, verbose=0)
    assert len(history.history["val_loss"]) == 3
    passes = np.concatenate(seen).reshape(3, 11)
    assert all(sorted(p) == list(range(11)) for p in passes.tolist()) and passes[0].tolist() != passes[1].tolist()
    next(test)
    everything = np.concatenate([test[i][0] for i in range(len(test))])
    np.testing.assert_allclose(model.predict(test, verbose=0), model.predict(everything, verbose=0), atol=1e-6)


# ---------------------------------------------------------------------------------------------- text

TEXTS = ["The cat sat on the mat.", "The dog ate my homework, the dog!", "A b\tc  d\n", "", "Ünïcode wörds"]


def run_tokenizer(module, settings, fitted=TEXTS):
    tokenizer = module.Tokenizer(**settings)
    tokenizer.fit_on_texts(fitted)
    tokenizer.fit_on_sequences([[1, 2, 2], [3]])
    new = ["the cat and the dog", "nothing known here", ["the", "mat"]]
    sequences = tokenizer.texts_to_sequences([*new, *TEXTS])
    matrices = [tokenizer.texts_to_matrix(TEXTS[:3], mode).tolist() for mode in text.MODES]
    back = tokenizer.sequences_to_texts([[1, 2, 99], [], [3, 50]])
    return tokenizer.word_index, sequences, matrices, back, tokenizer.to_json(), tokenizer.document_count


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_words": 5, "oov_token": "<OOV>"},
        {"num_words": 4},
        {"char_level": True, "lower": False},
        {"filters": "", "split": "t", "oov_token": "?"},
        {"analyzer": lambda words: words.split("a")},
    ],
    ids=plain,
)
def test_tokenizers_are_keras(settings, its):
    got, want = run_tokenizer(text, settings), run_tokenizer(its["text"], settings)
    # Keras orders word_docs by a set, which differs from process to process: compared as numbers, not as text.
    assert got[:4] == want[:4] and got[5] == want[5]
    mine, its_own = (json.loads(r[4]) for r in (got, want))
    for config in (mine["config"], its_own["config"]):
        config.update({name: json.loads(config[name]) for name in text._COUNTED})
    assert mine == its_own


def test_tokenizers_travel_as_json_both_ways(its):
    mine, its_own = text.Tokenizer(6, oov_token="?"), its["text"].Tokenizer(6, oov_token="?")
    for tokenizer in (mine, its_own):
        tokenizer.fit_on_texts(TEXTS)
    for make, source in ((text, its_own), (its["text"], mine), (text, mine)):
        read = make.tokenizer_from_json(source.to_json())
        assert read.texts_to_sequences(TEXTS) == mine.texts_to_sequences(TEXTS)
        assert (read.texts_to_matrix(TEXTS, "tfidf") == mine.texts_to_matrix(TEXTS, "tfidf")).all()
    with pytest.raises(ValueError, match="not the JSON of a Tokenizer"):
        text.tokenizer_from_json('{"config": {}}')


def test_words_and_hashes_are_keras(its):
    for kw in ({}, {"lower": False, "split": "t"}, {"filters": "ao"}):
        for one in TEXTS:
            assert text.text_to_word_sequence(one, **kw) == its["text"].text_to_word_sequence(one, **kw)
            assert text.hashing_trick(one, 50, "md5", **kw) == its["text"].hashing_trick(one, 50, "md5", **kw)
            assert text.one_hot(one, 50, **kw) == its["text"].one_hot(one, 50, **kw)
    assert text.hashing_trick("a b", 9, len, analyzer=str.split) == [2, 2]


def test_matrices_need_what_they_count():
    with pytest.raises(ValueError, match=r"expected mode as one of \('binary', .*got 'counts'"):
        text.Tokenizer(3).sequences_to_matrix([[1]], "counts")
    with pytest.raises(ValueError, match="give num_words, or fit the tokenizer"):
        text.Tokenizer().sequences_to_matrix([[1]])


# ----------------------------------------------------------------------------------------- sequences


@pytest.mark.parametrize(
    "settings",
    [
        {"length": 3},
        {"length": 4, "sampling_rate": 2, "stride": 3, "batch_size": 2},
        {"length": 2, "reverse": True, "start_index": 3, "end_index": 15, "batch_size": 4},
        {"length": 5, "shuffle": True, "batch_size": 6},
    ],
    ids=plain,
)
def test_windows_over_series_are_keras(settings, its):
    data, targets = np.arange(40).reshape(20, 2), np.arange(20) * 10

    def run(module):
        made = module.TimeseriesGenerator(data, targets, **settings)
        return [made[i] for i in range(len(made))]

    assert_same(seeded(lambda: run(sequence)), seeded(lambda: run(its["sequence"])))
    config = json.loads(sequence.TimeseriesGenerator(data, targets, **settings).to_json())["config"]
    assert json.loads(config["data"]) == data.tolist() and config["length"] == settings["length"]


def test_series_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match=r"no window of 9 steps and a target fits .* end_index=4"):
        sequence.TimeseriesGenerator(np.arange(5), np.arange(5), 9)


def test_sampling_tables_are_keras(its):
    np.testing.assert_allclose(sequence.make_sampling_table(50), its["sequence"].make_sampling_table(50), rtol=1e-6)
    np.testing.assert_allclose(
        sequence.make_sampling_table(9, 1e-2), its["sequence"].make_sampling_table(9, 1e-2), rtol=1e-6
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 1},  # without, Keras gives `random` a float, which Python 3.12 refuses
        {"window_size": 1, "negative_samples": 0.5, "categorical": True, "seed": 2},
        {"shuffle": False, "negative_samples": 2},
        {"seed": 8, "sampling_table": np.linspace(0.2, 0.9, 12)},
    ],
    ids=plain,
)
def test_skipgrams_are_keras(settings, its):
    words = [1, 2, 0, 3, 5, 8, 11, 2, 2, 0]
    got = seeded(lambda: sequence.skipgrams(words, 12, **settings))
    assert got == seeded(lambda: its["sequence"].skipgrams(words, 12, **settings))


def test_unseeded_skipgrams_follow_pythons_generator():
    one, two, other = (seeded(lambda: sequence.skipgrams(list(range(1, 9)), 12), seed) for seed in (1, 1, 2))
    assert one == two != other and sum(one[1]) == len(one[1]) / 2
