"""Models with vocabularies in files: ours opened by Keras, Keras's here, and what a file cannot do."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import fkeras
from fkeras import saving

pytest.importorskip("tensorflow", reason="the judge's text layers run on TensorFlow")

TEXTS = np.array(["the cat sat on the mat", "a dog ran off", "the end of the dog", "no way"], object)
TOWNS, SIZES = np.array(["Rome", "Oslo", "Rome", "Lima"], object), np.array([3, 3, 100, 7], "int32")
X = [TEXTS, TEXTS[:, None], TOWNS[:, None], SIZES[:, None]]


def build(K):
    """A model of all text layers, in either library: learned, given, and without a vocabulary."""
    L, text = K.layers, dict(dtype="string")
    words = L.TextVectorization(max_tokens=50, output_sequence_length=5, name="words")
    counts = L.TextVectorization(output_mode="count", ngrams=2, name="counts")
    towns = L.StringLookup(output_mode="one_hot", name="towns", num_oov_indices=2)
    sizes = L.IntegerLookup(output_mode="multi_hot", name="sizes", vocabulary=[3, 7])
    for layer, data in ((words, TEXTS), (counts, TEXTS), (towns, TOWNS)):
        layer.adapt(data)
    flat, a, b, c = (
        K.Input((), name="flat", **text),
        K.Input((1,), **text),
        K.Input((1,), **text),
        K.Input((1,), dtype="int32"),
    )
    parts = [
        L.Dense(4, name="dense")(counts(flat)),
        L.Flatten()(L.Embedding(50, 3, name="vectors")(words(a))),
        towns(b),
        sizes(c),
        L.HashedCrossing(7, output_mode="one_hot", name="cross")((b, c)),
        L.Hashing(8, salt=3, output_mode="one_hot", name="bins")(b),
    ]
    return K.Model([flat, a, b, c], L.Dense(2, name="last")(L.Concatenate()(parts)))


def outputs_of_layers(model):
    """What each text layer makes of the data."""
    given = {"words": TEXTS, "counts": TEXTS, "towns": TOWNS, "sizes": SIZES, "bins": TOWNS}
    found = {name: np.asarray(model.get_layer(name)(x[:, None])) for name, x in given.items()}
    return found | {"cross": np.asarray(model.get_layer("cross")((TOWNS, SIZES)))}


def assert_layers_agree(a, b):
    for (name, x), y in zip(outputs_of_layers(a).items(), outputs_of_layers(b).values(), strict=True):
        np.testing.assert_array_equal(x.astype("float64"), y.astype("float64"), err_msg=name)
    for name in ("words", "counts", "towns", "sizes"):
        assert a.get_layer(name).get_vocabulary() == b.get_layer(name).get_vocabulary()


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_keras_opens_what_is_written_here(keras, ending, tmp_path):
    ours = build(fkeras)
    path = str(tmp_path / f"model{ending}")
    ours.save(path)
    wanted = ours.predict(X, verbose=0)
    np.testing.assert_array_equal(fkeras.models.load_model(path).predict(X, verbose=0), wanted)
    theirs = keras.models.load_model(path)
    assert_layers_agree(ours, theirs)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
def test_what_keras_writes_is_opened_here(keras, tmp_path):
    theirs, path = build(keras), tmp_path / "model.keras"
    theirs.save(path)
    assert any(name.startswith("assets/") for name in zipfile.ZipFile(path).namelist())
    ours = fkeras.models.load_model(path)
    assert_layers_agree(ours, theirs)
    again = tmp_path / "again.keras"
    ours.save(again)
    np.testing.assert_array_equal(fkeras.models.load_model(again).predict(X, verbose=0), ours.predict(X, verbose=0))


@pytest.mark.parametrize("options", [{}, {"max_tokens": 30, "pad_to_max_tokens": True}], ids=["", "padded"])
def test_weights_of_tokens_are_kept_both_ways(keras, options, tmp_path):
    """Keras keeps them among the weights, here they are in the config."""
    path = tmp_path / "model.keras"
    theirs = keras.Sequential(
        [keras.Input((), dtype="string"), keras.layers.TextVectorization(output_mode="tf_idf", **options)]
    )
    theirs.layers[0].adapt(TEXTS)
    theirs.add(keras.layers.Dense(1))
    theirs.save(path)
    ours = fkeras.models.load_model(path)
    np.testing.assert_allclose(ours.layers[0](TEXTS), theirs.layers[0](TEXTS), 1e-6)
    ours.save(path)
    again = fkeras.models.load_model(path)
    np.testing.assert_array_equal(again.predict(TEXTS, verbose=0), ours.predict(TEXTS, verbose=0))
    np.testing.assert_allclose(keras.models.load_model(path).layers[0](TEXTS), ours.layers[0](TEXTS), 1e-6)


PREDICTS = """
import sys, numpy as np, fkeras
model = fkeras.models.load_model(sys.argv[1])
np.save(sys.argv[2], model.predict(["the cat ran", "no dog"], verbose=0))
assert not {"tensorflow", "keras"} & set(sys.modules)
"""


def test_a_new_process_predicts_on_strings(tmp_path):
    read = fkeras.layers.TextVectorization(output_sequence_length=4)
    read.adapt(TEXTS)
    model = fkeras.Sequential([fkeras.Input((1,), dtype="string"), read, fkeras.layers.Embedding(20, 2)])
    model.compile("adam", "mse")
    model.fit(TEXTS, np.zeros((4, 4, 2)), verbose=0)
    path, out = tmp_path / "model.keras", tmp_path / "out.npy"
    model.save(path)
    subprocess.run([sys.executable, "-c", PREDICTS, path, out], check=True, capture_output=True, text=True)
    np.testing.assert_allclose(np.load(out), model.predict(["the cat ran", "no dog"], verbose=0), 1e-5)


def test_weights_clones_and_json_keep_vocabularies(tmp_path):
    model = build(fkeras)
    twin = fkeras.models.model_from_json(model.to_json())
    model.save_weights(tmp_path / "w.weights.h5")
    twin.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))
    assert_layers_agree(fkeras.models.clone_model(model), model)


def test_a_path_in_a_file_is_never_followed(tmp_path):
    words = tmp_path / "secret.txt"
    words.write_text("a\nb\n")
    model = fkeras.Sequential(
        [fkeras.Input((1,), dtype="string"), fkeras.layers.StringLookup(vocabulary=str(words), output_mode="multi_hot"),
         fkeras.layers.Dense(1)]
    )  # fmt: skip
    path, evil = tmp_path / "model.keras", tmp_path / "evil.keras"
    model.save(path)
    assert "secret" not in zipfile.ZipFile(path).read("config.json").decode()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(evil, "w") as out:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "config.json":
                data = data.replace(b'"vocabulary": ["a", "b"]', json.dumps({"vocabulary": str(words)})[1:-1].encode())
                assert b"secret" in data
            out.writestr(name, data)
    with pytest.warns(UserWarning, match="names the vocabulary file 'secret.txt', which is not read"):
        loaded = fkeras.models.load_model(evil)
    with pytest.raises(ValueError, match=r"has no vocabulary yet: call set_vocabulary\(path\)"):
        loaded.predict(["a"], verbose=0)
    loaded.layers[0].set_vocabulary(words)
    np.testing.assert_array_equal(loaded.predict(["a"], verbose=0), model.predict(["a"], verbose=0))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text[: len(text) // 2], "expected 14 tokens, as its config says|expected .* tokens"),
        (lambda text: b"\xff" + text, "vocabulary.txt: 'utf-8' codec"),
        (lambda text: text + b"\ncat", "has 'cat' twice"),
    ],
    ids=["cut", "no text", "doubled"],
)
def test_damaged_vocabularies_are_named(keras, change, message, tmp_path):
    theirs, path, bad = build(keras), tmp_path / "model.keras", tmp_path / "bad.keras"
    theirs.save(path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(bad, "w") as out:
        for name in archive.namelist():
            held = archive.read(name)
            out.writestr(name, change(held) if name == "assets/layers/text_vectorization/vocabulary.txt" else held)
    with pytest.raises(ValueError, match=message) as caught:
        fkeras.models.load_model(bad)
    assert "assets/layers/text_vectorization/vocabulary.txt" in str(caught.value)


BOMBS = [
    ("StringLookup", {"num_oov_indices": 10**12}, "expected an integer from 0 to"),
    ("StringLookup", {"vocabulary_size": 10**13, "output_mode": "multi_hot"}, "numbers or more"),
    ("TextVectorization", {"output_sequence_length": 10**13, "vocabulary": ["a"]}, "numbers or more"),
    ("Hashing", {"num_bins": 10**12}, "below 2"),
]


@pytest.mark.parametrize("kind, config, message", BOMBS, ids=[kind for kind, *_ in BOMBS])
def test_small_configs_that_ask_for_much_are_refused(kind, config, message):
    chain = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 1], "dtype": "string", "name": "x"}}]
    chain.append({"class_name": kind, "config": config})
    text = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": chain}})
    with pytest.raises(ValueError, match=message):
        fkeras.models.model_from_json(text)


def test_functions_come_back_by_their_names(tmp_path):
    def shout(texts):
        return np.char.upper(texts)

    read = fkeras.layers.TextVectorization(standardize=shout, vocabulary=["CAT"], output_sequence_length=2)
    model = fkeras.Sequential([fkeras.Input((1,), dtype="string"), read])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="shout.*custom_objects"):
        fkeras.models.load_model(tmp_path / "model.keras")
    loaded = fkeras.models.load_model(tmp_path / "model.keras", custom_objects={"shout": shout})
    assert loaded.predict(["a cat"], verbose=0).tolist() == [[1, 2]]
    assert saving.load_model(tmp_path / "model.keras", {"shout": shout}).layers[0].standardize is shout
