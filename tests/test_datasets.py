"""Data sets by Keras's names, read from files of the same form in the cache, beside real Keras on the same files."""

import gzip
import hashlib
import io
import json
import os
import pickle
import tarfile

import numpy as np
import pytest

import fkeras
from fkeras.datasets import remote
from fkeras.utils import transfer

RANDOM = np.random.default_rng(0)


def numbers(*shape, below=256, dtype="uint8"):
    return RANDOM.integers(0, below, shape).astype(dtype)


def texts(n):
    out = np.empty(n, object)
    out[:] = [RANDOM.integers(1, 50, RANDOM.integers(3, 20)).tolist() for _ in range(n)]
    return out


class Python2(pickle._Pickler):
    """Writes bytes and text as Python 2 did, in whose pickles CIFAR comes."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_old(self, text):
        text = text.encode() if isinstance(text, str) else text
        self.write(b"T" + len(text).to_bytes(4, "little") + text)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_old


def python_2(batch):
    out = io.BytesIO()
    Python2(out, 2).dump(batch)
    return out.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")


def tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache with small files in the forms that the real ones have."""
    home = tmp_path_factory.mktemp("keras")
    folder = home / "datasets"
    (folder / "fashion-mnist").mkdir(parents=True)
    x, y = numbers(9, 28, 28), numbers(9, below=10)
    np.savez(folder / "mnist.npz", x_train=x[:6], y_train=y[:6], x_test=x[6:], y_test=y[6:])
    np.savez(
        folder / "imdb.npz", x_train=texts(30), y_train=y.repeat(4)[:30], x_test=texts(20), y_test=y.repeat(3)[:20]
    )
    np.savez(folder / "reuters.npz", x=texts(33), y=RANDOM.integers(0, 46, 33))
    np.savez(folder / "boston_housing.npz", x=RANDOM.random((50, 13)), y=RANDOM.random(50))
    np.savez(folder / "california_housing.npz", x=RANDOM.random((900, 8), "f"), y=RANDOM.random(900, "f"))
    for name in ("imdb", "reuters"):
        (folder / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "café": 2}))
    for name, rows in (("train", 7), ("t10k", 3)):
        for kind, shape in (("images-idx3", (rows, 28, 28)), ("labels-idx1", (rows,))):
            head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">i4").tobytes()
            file = folder / "fashion-mnist" / f"{name}-{kind}-ubyte.gz"
            file.write_bytes(gzip.compress(head + numbers(*shape).tobytes()))

    def batch(*keys):
        return {b"data": numbers(2, 3072), **{k: numbers(2, below=10).tolist() for k in keys}}

    ten = {f"cifar-10-batches-py/{name}": batch(b"labels") for name in [*CIFAR_10, "test_batch"]}
    hundred = {f"cifar-100-python/{name}": batch(b"fine_labels", b"coarse_labels") for name in ("train", "test")}
    tar(folder / "cifar-10-batches-py-target_archive", {k: python_2(v) for k, v in ten.items()})
    tar(folder / "cifar-100-python-target_archive", {k: python_2(v) for k, v in hundred.items()})
    return home, {**ten, **hundred}


CIFAR_10 = [f"data_batch_{i}" for i in range(1, 6)]
FILES = {
    "mnist": "mnist.npz",
    "imdb": "imdb.npz",
    "reuters": "reuters.npz",
    "boston_housing": "boston_housing.npz",
    "california_housing": "california_housing.npz",
    "imdb_words": "imdb_word_index.json",
    "reuters_words": "reuters_word_index.json",
    "cifar10": "cifar-10-batches-py-target_archive",
    "cifar100": "cifar-100-python-target_archive",
}


@pytest.fixture
def cache(home, monkeypatch):
    folder, batches = home
    monkeypatch.setenv("KERAS_HOME", str(folder))
    for name, file in FILES.items():
        digest = hashlib.sha256((folder / "datasets" / file).read_bytes()).hexdigest()
        monkeypatch.setitem(remote.ORIGINS, name, (remote.ORIGINS[name][0], digest))
    return batches


@pytest.fixture
def judge(cache, keras, monkeypatch):
    """Real Keras, reading the same cache without looking at the hashes of the real files."""
    from keras.src.backend import config
    from keras.src.utils import file_utils

    monkeypatch.setattr(config, "_KERAS_DIR", os.environ["KERAS_HOME"])
    monkeypatch.setattr(file_utils, "validate_file", lambda *args, **kwargs: True)
    return keras.datasets


@pytest.mark.parametrize(
    "name, settings",
    [
        ("mnist", {}),
        ("fashion_mnist", {}),
        ("boston_housing", {}),
        ("boston_housing", {"test_split": 0.31, "seed": 3}),
        ("california_housing", {}),
        ("california_housing", {"version": "small"}),
        ("imdb", {}),
        ("imdb", {"num_words": 20}),
        ("imdb", {"num_words": 30, "skip_top": 6, "oov_char": None}),
        ("imdb", {"maxlen": 12, "seed": 5}),
        ("imdb", {"start_char": None, "index_from": 0}),
        ("reuters", {}),
        ("reuters", {"num_words": 30, "skip_top": 6, "oov_char": None, "test_split": 0.33}),
        ("reuters", {"maxlen": 12, "oov_char": 9}),
        ("reuters", {"start_char": None, "index_from": None}),
    ],
    ids=str,
)
def test_loaders_give_what_keras_gives(name, settings, judge):
    want = getattr(judge, name).load_data(**settings)
    got = getattr(fkeras.datasets, name).load_data(**settings)
    for its, mine in zip(want, got, strict=True):
        for a, b in zip(its, mine, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            assert a.tolist() == b.tolist()


def test_words_and_topics_are_keras(judge):
    for name in ("imdb", "reuters"):
        assert getattr(fkeras.datasets, name).get_word_index() == getattr(judge, name).get_word_index()
    assert fkeras.datasets.reuters.get_label_names() == judge.reuters.get_label_names()


def test_addresses_and_hashes_are_keras(keras):
    """As its source says them today: what is looked for is each address and each hash."""
    import inspect

    from keras.src import datasets

    source = "".join(
        inspect.getsource(getattr(datasets, name))
        for name in dir(datasets)
        if inspect.ismodule(getattr(datasets, name))
    )
    for origin, digest in remote.ORIGINS.values():
        folder, _, file = origin.rpartition("/")
        assert folder in source and file in source, origin
        assert digest is None or digest in source, origin


def test_cifar_comes_from_python_2_pickles(cache):
    (x_train, y_train), (x_test, y_test) = fkeras.datasets.cifar10.load_data()
    batches = [cache[f"cifar-10-batches-py/{name}"] for name in CIFAR_10]
    pixels = np.concatenate([b[b"data"] for b in batches]).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(x_train, pixels.transpose(0, 2, 3, 1))
    assert y_train.ravel().tolist() == [label for b in batches for label in b[b"labels"]] and y_train.dtype == np.uint8
    assert x_train.dtype == np.uint8 and x_test.shape == (2, 32, 32, 3) and y_test.shape == (2, 1)
    for mode in ("fine", "coarse"):
        _, (_, y) = fkeras.datasets.cifar100.load_data(mode)
        assert y.ravel().tolist() == cache["cifar-100-python/test"][f"{mode}_labels".encode()]
        assert y.dtype == np.int64  # as Keras returns it, not as it says
    with pytest.raises(ValueError, match="expected label_mode 'fine' or 'coarse', got 'both'"):
        fkeras.datasets.cifar100.load_data("both")


def test_channels_first(cache):
    try:
        fkeras.config.set_image_data_format("channels_first")
        assert fkeras.datasets.cifar10.load_data()[0][0].shape == (10, 3, 32, 32)
    finally:
        fkeras.config.set_image_data_format("channels_last")


def test_a_file_elsewhere_is_used(cache, home, tmp_path):
    path = tmp_path / "my.npz"
    path.write_bytes((home[0] / "datasets/mnist.npz").read_bytes())
    assert fkeras.datasets.mnist.load_data(str(path))[0][0].shape == (6, 28, 28)


class Evil:
    def __reduce__(self):
        return (print, ("run!",))


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    path = tmp_path / "datasets/imdb.npz"
    evil = np.empty(2, object)
    evil[:] = [Evil(), [1]]
    np.savez(path, x_train=evil, y_train=np.zeros(2), x_test=evil, y_test=np.zeros(2))
    monkeypatch.setitem(remote.ORIGINS, "imdb", (remote.ORIGINS["imdb"][0], None))
    with pytest.raises(ValueError, match=r"Cannot read '.*imdb\.npz': its pickle asks for builtins\.print"):
        fkeras.datasets.imdb.load_data()
    assert capsys.readouterr().out == ""


def test_a_file_with_another_hash_is_not_used(tmp_path, monkeypatch):
    """It is asked for anew, here of a server that is not there."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    np.savez(tmp_path / "datasets/mnist.npz", x_train=np.zeros(1))
    monkeypatch.setattr(transfer, "TRIES", 1)
    monkeypatch.setitem(remote.ORIGINS, "mnist", ("https://127.0.0.1:9/mnist.npz", "0" * 64))
    with pytest.raises(
        OSError, match=r"cannot download https://127\.0\.0\.1:9/mnist\.npz.* put the file at .*mnist\.npz"
    ):
        fkeras.datasets.mnist.load_data()


def test_settings_that_cannot_be(cache):
    with pytest.raises(ValueError, match="maxlen=2 leaves no text"):
        fkeras.datasets.imdb.load_data(maxlen=2)
    with pytest.raises(ValueError, match=r"expected test_split in \[0, 1\), got 2"):
        fkeras.datasets.boston_housing.load_data(test_split=2)
    with pytest.raises(ValueError, match="expected version 'small' or 'large', got 'tiny'"):
        fkeras.datasets.california_housing.load_data("tiny")


def test_breast_cancer_is_that_of_wisconsin():
    module = fkeras.datasets.breast_cancer
    (x_train, y_train), (x_test, y_test) = module.load_data()
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    assert x.shape == (569, 30) and np.bincount(y).tolist() == [357, 212]  # as published with it
    radius, worst_area = (x[:, module.FEATURES.index(name)] for name in ("mean radius", "worst area"))
    assert (radius.min(), radius.max()) == (6.981, 28.11) and (worst_area.min(), worst_area.max()) == (185.2, 4254)
    assert radius[y == 1].mean() > radius[y == 0].mean() and module.CLASSES[1] == "malignant"


def test_the_federalist_tells_its_authors_apart():
    """By the words alone all twelve disputed essays are Madison's, as Mosteller and Wallace found in 1963."""
    module = fkeras.datasets.federalist
    (x, y), (x_test, y_test) = module.load_data()
    disputed, papers = module.load_disputed()
    everything = [*x, *x_test, *disputed]
    assert len(everything) == 981 and all(40 < len(text.split()) < 220 for text in everything)
    assert not any(name in " ".join(everything) for name in ("PUBLIUS", "HAMILTON", "MADISON", "[1]", "_"))
    assert any("If men were angels, no government would be necessary." in t for t in disputed[papers == 51])
    tokenizer = fkeras.preprocessing.text.Tokenizer(800)
    tokenizer.fit_on_texts(x)
    counts, new, unknown = (tokenizer.texts_to_matrix(texts, "count") for texts in (x, x_test, disputed))
    words = np.stack([counts[y == author].sum(0) + 1 for author in (0, 1)])  # naive Bayes
    logs = np.log(words / words.sum(1, keepdims=True))
    assert (((new @ logs.T).argmax(1) == y_test).mean()) > 0.7
    margin = unknown @ (logs[1] - logs[0])
    assert all(margin[papers == paper].sum() > 0 for paper in module.DISPUTED)
