"""Vocabularies, hashes and crosses: the numbers of real Keras, on texts and whole numbers, on the host and compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.layers.kernels import hashing

pytest.importorskip("tensorflow", reason="the judge's text layers run on TensorFlow")

V = ["a", "b", "c"]
WORDS = ["", "a", "ab", "abcd", "abcdefg", "abcdefgh", "1" * 16, "x" * 17, "y" * 32, "z" * 33, "q" * 64, "w" * 65,
         "e" * 128, "r" * 129, "t" * 200, "héllo — ü"]  # fmt: skip
NUMBERS = np.array([0, 1, -1, 9, 10, -10, 99, 100, 12345678, 2**31 - 1, -(2**31)])


def text(*rows):
    return np.array(rows, object)


def same(got, want, tolerance=1e-6):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(got.astype("float64"), want.astype("float64"), tolerance, tolerance)


# --------------------------------------------------------------------------------------------------- hashes


@pytest.mark.parametrize("salt", [None, 133, [133, 137]], ids=str)
@pytest.mark.parametrize("bins", [7, 1000, 2**31 - 1])
def test_texts_and_numbers_get_keras_bins(keras, salt, bins):
    ours, theirs = layers.Hashing(bins, salt=salt), keras.layers.Hashing(bins, salt=salt)
    same(ours(np.array(WORDS)), theirs(np.array(WORDS)))
    same(ours(NUMBERS), theirs(NUMBERS))
    same(jax.jit(lambda x: ours(x))(NUMBERS.astype("int32")), theirs(NUMBERS))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_bins_are_encoded_as_keras_does(keras, mode):
    options = {"num_bins": 5, "output_mode": mode}
    for x in (text("a", "b"), text(["a"], ["b"]), text(["a", "b"], ["b", "b"])):
        same(layers.Hashing(**options)(x), keras.layers.Hashing(**options)(x))
    masked = layers.Hashing(5, mask_value="b", output_mode=mode)(text(["a", "b"]))
    same(masked, keras.layers.Hashing(5, mask_value="b", output_mode=mode)(text(["a", "b"])))
    x = np.array([[3, 4], [4, 4]])
    want = keras.layers.Hashing(5, mask_value=3, output_mode=mode)(x)
    ours = layers.Hashing(5, mask_value=3, output_mode=mode)
    same(ours(x), want)
    same(jax.jit(lambda x: ours(x))(x), want)


@pytest.mark.parametrize("mode", ["int", "one_hot"])
def test_crosses_get_keras_bins(keras, mode):
    words, numbers = text(*"ABAC"), np.array([101, -102, 101, 3])
    for bins in (5, 1000):
        ours, theirs = (L.HashedCrossing(bins, output_mode=mode) for L in (layers, keras.layers))
        for columns in (
            (words, numbers),
            (words[:, None], numbers[:, None]),
            (numbers, numbers),
            (words, numbers, words),
        ):
            same(ours(columns), theirs(columns))
        same(jax.jit(lambda a: ours([a, a]))(numbers), theirs((numbers, numbers)))  # noqa: B023


def test_published_hashes():
    """The values that the algorithms' authors publish."""
    key = tuple(int.from_bytes(bytes(range(i, i + 8)), "little") for i in (0, 8))
    found = hashing.sip_hashes([bytes(range(n)) for n in (0, 1, 8, 15)], key)
    assert [hex(n) for n in found] == [
        "0x726fdb47dd0e0e31", "0x74f839c593dc67fd", "0x93f5f5799a932462", "0xa129ca6149be45e5",
    ]  # fmt: skip


def test_wide_numbers_compute_as_64_bits_do():
    a = np.array([0, 1, 0xFFFFFFFF, 0x100000000, 0xDEADBEEFCAFEBABE, 2**64 - 1], np.uint64)
    b = a[::-1]
    wide = [hashing.Wide(n >> np.uint64(32), n & np.uint64(0xFFFFFFFF)) for n in (a, b)]
    as_int = lambda w: [int(h) << 32 | int(n) for h, n in zip(w.high, w.low, strict=True)]  # noqa: E731
    for op in (lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x ^ y):
        assert as_int(op(*wide)) == op(a, b).tolist()
    for n in (1, 31, 32, 33, 63):
        assert as_int(wide[0] >> n) == (a >> np.uint64(n)).tolist()
        assert as_int(wide[0] << n) == (a << np.uint64(n)).tolist()
    for n in (1, 2, 3, 65537, 2**31 - 1):
        assert (wide[0] % n).tolist() == (a % np.uint64(n)).tolist()


# ---------------------------------------------------------------------------------------------- vocabularies

OPTIONS = [
    {},
    {"mask_token": ""},
    {"num_oov_indices": 3},
    {"num_oov_indices": 3, "salt": [5, 6], "mask_token": "m"},
    {"max_tokens": 8, "pad_to_max_tokens": True},
    {"num_oov_indices": 2, "mask_token": "m"},
]


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count", "tf_idf"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_texts_are_looked_up_as_keras_does(keras, options, mode):
    options = options | {"vocabulary": V, "output_mode": mode}
    if mode == "tf_idf":
        options["idf_weights"] = [0.1, 0.2, 0.4]
    ours, theirs = layers.StringLookup(**options), keras.layers.StringLookup(**options)
    for x in (text("a", "z"), text(["a"], ["m"]), text(["a", "a", ""], ["c", "zz", "y"]), np.array([b"b", b"z"])):
        same(ours(x), theirs(x))
    assert ours.get_vocabulary() == theirs.get_vocabulary()
    assert ours.get_vocabulary(include_special_tokens=False) == theirs.get_vocabulary(include_special_tokens=False)
    assert ours.vocabulary_size() == theirs.vocabulary_size()
    again = layers.StringLookup.from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    same(again(text("a", "z")), ours(text("a", "z")))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count", "tf_idf"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask_token": 0},
        {"num_oov_indices": 3},
        {"num_oov_indices": 3, "oov_method": "farmhash"},
        {"num_oov_indices": 3, "oov_method": "farmhash", "salt": 7, "mask_token": 9},
        {"num_oov_indices": 0},
    ],
    ids=str,
)
def test_numbers_are_looked_up_as_keras_does_also_compiled(keras, options, mode):
    options = options | {"vocabulary": [12, -7, 1000], "output_mode": mode}
    if mode == "tf_idf":
        options["idf_weights"] = [0.1, 0.2, 0.4]
    ours, theirs = layers.IntegerLookup(**options), keras.layers.IntegerLookup(**options)
    known = options.get("num_oov_indices") == 0
    xs = [[12], [-7]], [[12, 12, 1000]], [12, -7]
    for x in xs if known else (*xs, [5], [[0, 1, -1], [12, 9, 12345]]):
        x = np.array(x)
        same(ours(x), theirs(x))
    if mode == "int" or "oov_method" not in options:  # in JAX; the hash, which takes long to compile, once
        same(jax.jit(lambda x: ours(x))(x), theirs(x))
    assert ours.get_vocabulary() == theirs.get_vocabulary()


def test_what_is_inverted_comes_back(keras):
    words = layers.StringLookup(vocabulary=V, invert=True, mask_token="")
    assert words(layers.StringLookup(vocabulary=V, mask_token="")(text("a", "c", "z", ""))).tolist() == [
        "a", "c", "[UNK]", "",
    ]  # fmt: skip
    assert words(jnp.array([[9, -1]])).tolist() == [["[UNK]", "[UNK]"]]
    ours, theirs = (L.IntegerLookup(vocabulary=[5, 7], invert=True) for L in (layers, keras.layers))
    x = np.array([0, 1, 2, 9])
    same(ours(x), theirs(x))
    same(jax.jit(lambda x: ours(x))(x), theirs(x))


# ------------------------------------------------------------------------------------------------------ adapt


DATA = text("b", "a", "c", "a", "d", "E", "é", "", "[UNK]", "Z")


class Batches(fkeras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return DATA[4 * i : 4 * i + 4], np.zeros(len(DATA[4 * i : 4 * i + 4]))


def as_series(x):
    return pytest.importorskip("pandas").Series(x)


def as_tf_data(x):
    return pytest.importorskip("tensorflow").data.Dataset.from_tensor_slices(list(x)).batch(3)


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x,
        list,
        lambda x: x[:, None],
        lambda x: x.astype(str),
        lambda x: (x[i : i + 3] for i in range(0, len(x), 3)),
        lambda x: [x[:5], x[5:]],
        as_series,
        as_tf_data,
        lambda x: as_tf_data(x).unbatch(),
        lambda x: Batches(),
    ],
    ids=["array", "list", "column", "unicode", "generator", "batches", "series", "tf", "tf values", "PyDataset"],
)
def test_a_vocabulary_is_learned_from_every_form_of_data(keras, form):
    ours, theirs = (L.StringLookup(mask_token="") for L in (layers, keras.layers))
    ours.adapt(form(DATA))
    theirs.adapt(DATA)
    assert ours.get_vocabulary() == theirs.get_vocabulary() == ["", "[UNK]", *"aéZEdcb"[:1], *"édcbZE"]


@pytest.mark.parametrize("options", [{}, {"max_tokens": 3}, {"output_mode": "tf_idf"}, {"num_oov_indices": 2}], ids=str)
def test_what_is_learned_is_keras(keras, options):
    for data in (DATA, DATA.reshape(5, 2), np.array([["a", "a"], ["a", "b"]], object)):
        ours, theirs = (L.StringLookup(**options) for L in (layers, keras.layers))
        ours.adapt(text("forgotten"))
        ours.adapt(data)
        theirs.adapt(data)
        assert ours.get_vocabulary() == theirs.get_vocabulary()
        same(ours(data[:1]), theirs(data[:1]))
    numbers = np.array([[5, 3], [3, -1], [7, 0]])
    ours, theirs = (L.IntegerLookup(**options) for L in (layers, keras.layers))
    ours.adapt(numbers)
    theirs.adapt(numbers)
    assert ours.get_vocabulary() == theirs.get_vocabulary()
    same(ours(numbers), theirs(numbers))
    ours.adapt([8, 8, 9])
    assert ours.get_vocabulary(include_special_tokens=False)[:1] == [8]


def test_modes_have_their_old_names():
    assert layers.StringLookup(output_mode="binary").output_mode == "multi_hot"
    assert layers.TextVectorization(output_mode="tf-idf").output_mode == "tf_idf"


def test_adapt_takes_as_many_batches_as_asked():
    layer = layers.StringLookup()
    layer.adapt((text(w) for w in "abcd"), steps=2)
    assert layer.get_vocabulary() == ["[UNK]", "b", "a"]


def test_vocabularies_are_read_from_files(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("a\nb\n\nc\n")
    with pytest.raises(ValueError, match="there is no vocabulary file 'nowhere.txt'"):
        layers.StringLookup(vocabulary="nowhere.txt")
    layer = layers.StringLookup(vocabulary=path)
    assert layer.get_vocabulary() == ["[UNK]", "a", "b", "", "c"]
    assert layer.get_config()["vocabulary"] == ["a", "b", "", "c"]  # the words, not where they were
    with pytest.warns(UserWarning, match="names the vocabulary file 'words.txt', which is not read"):
        unread = layers.StringLookup.from_config({"vocabulary": str(path), "vocabulary_size": 4, "name": "words"})
    with pytest.raises(ValueError, match="StringLookup 'words' has no vocabulary yet: call set_vocabulary.path"):
        unread(text("a"))
    unread.set_vocabulary(str(path))
    assert unread(text("a")).tolist() == [1]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.StringLookup()(text("a")), r"has no vocabulary yet: call adapt\(data\) or set_vocabulary"),
        (lambda: layers.StringLookup(vocabulary=V, num_oov_indices=0)(text("q")), "'q' is not in its vocabulary"),
        (lambda: layers.IntegerLookup(vocabulary=[1], num_oov_indices=0)(np.array([3])), "3 is not in its vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), "has 'a' twice"),
        (lambda: layers.StringLookup(vocabulary=V, mask_token="b"), "the vocabulary holds the mask_token 'b'"),
        (lambda: layers.StringLookup(vocabulary=[]), "the vocabulary is empty"),
        (lambda: layers.StringLookup(vocabulary=[1]), r"expected a vocabulary of texts, got 1 \(int\)"),
        (lambda: layers.IntegerLookup(vocabulary=[1.5]), "expected a vocabulary of whole numbers, got 1.5"),
        (lambda: layers.StringLookup(vocabulary=V, max_tokens=3), "max_tokens=3, got a vocabulary of 3 tokens and 1"),
        (lambda: layers.StringLookup(max_tokens=1), "expected more than 1"),
        (lambda: layers.StringLookup(pad_to_max_tokens=True), "pad_to_max_tokens=True needs max_tokens"),
        (lambda: layers.StringLookup(vocabulary=V, output_mode="tf_idf"), "needs idf_weights"),
        (lambda: layers.StringLookup(vocabulary=V, idf_weights=[1, 2, 3]), "idf_weights go with output_mode='tf_idf'"),
        (
            lambda: layers.StringLookup(vocabulary=V, output_mode="tf_idf", idf_weights=[1.0]),
            "expected one of idf_weights for each token, 3",
        ),
        (lambda: layers.StringLookup(invert=True, output_mode="count"), "invert=True goes with output_mode='int'"),
        (lambda: layers.StringLookup(sparse=True), "sparse and ragged arrays do not exist in JAX"),
        (lambda: layers.StringLookup(output_mode="counts"), "Did you mean 'count'"),
        (lambda: layers.IntegerLookup(salt=3), "salt goes with oov_method='farmhash'"),
        (lambda: layers.StringLookup(salt="x"), "expected an int or two ints, got 'x'"),
        (
            lambda: layers.StringLookup().adapt(text("", "[UNK]")[:0]),
            "adapt expected at least one batch",
        ),
        (
            lambda: layers.StringLookup(mask_token="").adapt(text("", "[UNK]")),
            "adapt found no token in the data",
        ),
        (lambda: layers.StringLookup().adapt(np.array([1, 2])), "Expected text as the data, got data of dtype int64"),
        (lambda: layers.StringLookup(vocabulary=V)(np.array(["a", None], object)), r"got 'None' \(NoneType\) at \[1\]"),
        (lambda: layers.Hashing(0), "expected a positive integer, got 0"),
        (lambda: layers.Hashing(3, mask_value=1)(text("a")), "mask_value=1 is of another kind"),
        (lambda: layers.HashedCrossing(3)([text("a")]), "expected a list of two or more columns to cross, got 1"),
        (lambda: layers.HashedCrossing(3)([text(["a", "b"])] * 2), r"expected columns \[B\] or \[B, 1\] of one rank"),
        (
            lambda: layers.HashedCrossing(3)([np.ones(2), np.ones(2)]),
            "expected text or whole numbers, got data of",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_is_refused_by_name(make, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        make()
    assert len(str(caught.value)) <= 300


def test_whole_numbers_of_64_bits_are_looked_up_and_hashed_on_the_host(keras):
    big = np.array([2**40, 2**40 + 1, 5])
    for kwargs in ({"vocabulary": [2**40]}, {"vocabulary": [2**40], "num_oov_indices": 3}):
        same(layers.IntegerLookup(**kwargs)(big), keras.layers.IntegerLookup(**kwargs)(big))
    same(layers.Hashing(1000)(big), keras.layers.Hashing(1000)(big))


def test_a_hundred_thousand_texts_take_less_than_a_second():
    import time

    words = np.array([f"word {i % 30_000}" for i in range(100_000)], object)
    layer = layers.StringLookup()
    for call in (layers.Hashing(1000), layers.Hashing(1000, salt=3), layer.adapt, layer):
        start = time.perf_counter()
        call(words)
        assert time.perf_counter() - start < 2  # 0.05 to 0.25 s on an idle machine


def test_programs_that_hold_a_vocabulary_follow_it():
    """Lookups of numbers are compiled with their vocabulary in them."""
    lookup, bins = layers.IntegerLookup(vocabulary=[1]), layers.Discretization(num_bins=2)
    bins.adapt(np.array([0.0, 10.0]))
    for layer, adapt, x in ((lookup, [[3]], 3), (bins, [[0.0], [100.0]], 20)):
        model = fkeras.Sequential([fkeras.Input((1,)), layer])
        x = np.array([[x]], "float32")
        before = model.predict(x, verbose=0)
        for _ in range(8):  # a program for one row is kept with its arrays
            model.predict(x, verbose=0)
        layer.adapt(adapt)
        assert model.predict(x, verbose=0) != before
