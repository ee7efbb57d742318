"""Models that begin with text: their host part runs ahead of the compiled one, and nothing else is different."""

import jax
import numpy as np
import pytest

import fkeras
from fkeras import Input, Model, Sequential, layers

RNG = np.random.default_rng(0)
WORDS = "great fine dull awful film actor plot the a of".split()
TEXTS = np.array([" ".join(RNG.choice(WORDS, RNG.integers(1, 9))) for _ in range(37)], object)
LABELS = np.array([("great" in t or "fine" in t) for t in TEXTS], "int32")
TOWNS, SIZES = RNG.choice(["Rome", "Oslo", "Lima"], 37).astype(object), RNG.integers(0, 5, 37)
AGES = RNG.normal(size=37).astype("float32")


def vectorizer(**options):
    layer = layers.TextVectorization(**{"output_sequence_length": 6, **options})
    layer.adapt(TEXTS)
    return layer


def tail():
    return [layers.Embedding(20, 4), layers.GlobalAveragePooling1D(), layers.Dense(2, activation="softmax")]


def compiled(model, **options):
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def text_model(**options):
    fkeras.utils.set_random_seed(1)
    return compiled(Sequential([Input((1,), dtype="string", name="text"), vectorizer(), *tail()]), **options)


def number_model(**options):
    """The compiled part of `text_model`."""
    fkeras.utils.set_random_seed(1)
    return compiled(Sequential([Input((6,), dtype="int32"), *tail()]), **options)


NUMBERS = np.asarray(vectorizer()(TEXTS))


class Batches(fkeras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return TEXTS[10 * i : 10 * i + 10], LABELS[10 * i : 10 * i + 10]


def as_series(x):
    return pytest.importorskip("pandas").Series(x)


FORMS = {
    "objects": lambda x: x,
    "column": lambda x: x[:, None],
    "unicode": lambda x: x.astype(str),
    "bytes": lambda x: x.astype("S"),
    "list": list,
    "nested list": lambda x: [[t] for t in x],
    "series": as_series,
    "dict": lambda x: {"text": x},
}


@pytest.mark.parametrize("form", FORMS)
def test_text_comes_in_every_form(form):
    give, model = FORMS[form], text_model()
    wanted = model.predict(TEXTS, verbose=0)
    np.testing.assert_array_equal(model.predict(give(TEXTS), verbose=0), wanted)
    np.testing.assert_allclose(model.predict_on_batch(give(TEXTS)), wanted, 1e-6)
    np.testing.assert_allclose(model(give(TEXTS)), wanted, 1e-6)


def test_text_trains_as_its_numbers_do():
    give, ours = FORMS["list"], text_model()
    theirs, w = number_model(), RNG.uniform(0.5, 1, 37).astype("float32")
    options = {"batch_size": 10, "verbose": 0, "epochs": 2}
    found = ours.fit(give(TEXTS), LABELS, sample_weight=w, validation_data=(give(TEXTS[:7]), LABELS[:7]), **options)
    wanted = theirs.fit(NUMBERS, LABELS, sample_weight=w, validation_data=(NUMBERS[:7], LABELS[:7]), **options)
    assert found.history == wanted.history
    np.testing.assert_array_equal(
        ours.predict(give(TEXTS), batch_size=10, verbose=0), theirs.predict(NUMBERS, batch_size=10, verbose=0)
    )
    assert ours.evaluate(give(TEXTS), LABELS, verbose=0) == theirs.evaluate(NUMBERS, LABELS, verbose=0)
    assert ours.train_on_batch(give(TEXTS), LABELS) == theirs.train_on_batch(NUMBERS, LABELS)
    assert ours.test_on_batch(give(TEXTS), LABELS) == theirs.test_on_batch(NUMBERS, LABELS)
    np.testing.assert_array_equal(ours.predict_on_batch(give(TEXTS)), theirs.predict_on_batch(NUMBERS))
    for _ in range(7):  # a row at a time, again and again
        np.testing.assert_array_equal(ours.predict(give(TEXTS[:1]), verbose=0), theirs.predict(NUMBERS[:1], verbose=0))


@pytest.mark.parametrize("kind", ["generator", "PyDataset", "tf.data", "list of batches"])
def test_batches_of_text_are_read_in_the_thread_that_reads_ahead(kind):
    def batches(x):
        return ((x[i : i + 10], LABELS[i : i + 10]) for i in range(0, 37, 10))

    if kind == "tf.data":
        tf = pytest.importorskip("tensorflow")
        data = tf.data.Dataset.from_tensor_slices((list(TEXTS), LABELS)).batch(10)
    else:
        data = {"generator": batches(TEXTS), "PyDataset": Batches(), "list of batches": list(batches(TEXTS))}[kind]
    ours, theirs = text_model(), number_model()
    found = ours.fit(data, verbose=0, shuffle=False).history
    assert found == theirs.fit(batches(NUMBERS), verbose=0).history
    if kind != "generator":
        assert ours.evaluate(data, verbose=0) == theirs.evaluate(batches(NUMBERS), verbose=0)
    np.testing.assert_array_equal(
        ours.predict((TEXTS[i : i + 10] for i in range(0, 37, 10)), verbose=0),
        theirs.predict((NUMBERS[i : i + 10] for i in range(0, 37, 10)), verbose=0),
    )


def test_text_is_read_from_files_batch_by_batch(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"], file["y"] = list(TEXTS), LABELS
    with h5py.File(tmp_path / "data.h5", "r") as file:
        ours, theirs = text_model(), number_model()
        options = {"batch_size": 8, "validation_split": 0.3, "verbose": 0}
        found = ours.fit(file["x"], file["y"], **options).history
        assert found == theirs.fit(NUMBERS, LABELS, **options).history
        np.testing.assert_array_equal(ours.predict(file["x"], verbose=0), theirs.predict(NUMBERS, verbose=0))


def test_columns_split_off_and_devices_change_nothing():
    wanted = number_model().fit(NUMBERS, LABELS, validation_split=0.3, batch_size=8, verbose=0).history
    assert text_model().fit(TEXTS, LABELS, validation_split=0.3, batch_size=8, verbose=0).history == wanted
    for devices in (2, 4):
        model = text_model(distribute=devices)
        found = model.fit(TEXTS, LABELS, validation_split=0.3, batch_size=8, verbose=0).history
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, 1e-5)
        np.testing.assert_allclose(model.predict(TEXTS, verbose=0), model(TEXTS), 1e-5)


def test_a_row_does_not_depend_on_those_beside_it():
    """With a length of its own for each batch, as Keras has it, padding is masked."""
    read = vectorizer(output_sequence_length=None)
    model = Sequential([Input((1,), dtype="string"), read, layers.Embedding(20, 4, mask_zero=True), tail()[1]])
    whole = model.predict(TEXTS, verbose=0)
    for size in (1, 9):
        np.testing.assert_allclose(model.predict(TEXTS[:20], batch_size=size, verbose=0), whole[:20], 1e-5, 1e-6)
    model.compile("sgd", "mse")
    model.fit(TEXTS, np.zeros((37, 4)), batch_size=10, verbose=0)


def table_model():
    """Text, a category and numbers, one of them read by both parts."""
    fkeras.utils.set_random_seed(1)
    text, town = Input((1,), dtype="string", name="text"), Input((1,), dtype="string", name="town")
    size, age = Input((1,), dtype="int32", name="size"), Input((1,), name="age")
    lookup = layers.StringLookup(output_mode="one_hot")
    lookup.adapt(TOWNS)
    parts = [
        layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(vectorizer()(text))),
        lookup(town),
        layers.HashedCrossing(8, output_mode="one_hot")([town, size]),
        layers.IntegerLookup(vocabulary=[1, 2, 3], output_mode="one_hot")(size),
        layers.CategoryEncoding(5, "one_hot")(size),
        layers.Discretization([-1.0, 0.0, 1.0], output_mode="one_hot")(age),
        age,
    ]
    hidden = layers.Dense(5, activation="relu")(layers.Concatenate()(parts))
    return Model([text, town, size, age], {"p": layers.Dense(2, activation="softmax", name="p")(hidden),
                                           "q": layers.Dense(1, name="q")(hidden)})  # fmt: skip


def test_a_table_of_texts_categories_and_numbers():
    pandas = pytest.importorskip("pandas")
    model = table_model()
    model.compile("sgd", {"p": "sparse_categorical_crossentropy", "q": "mse"})
    columns = {"age": AGES, "size": SIZES, "text": TEXTS, "town": TOWNS, "extra": TOWNS}
    x = [columns[name] for name in ("text", "town", "size", "age")]
    y = {"p": LABELS, "q": AGES}
    frame = pandas.DataFrame(columns)
    wanted = model.predict(x, verbose=0)
    for form in (columns, dict(frame), {k: list(v) for k, v in columns.items()}):
        found = model.predict(form, verbose=0, batch_size=9)
        np.testing.assert_allclose(found["p"], wanted["p"], 1e-5, 1e-6)
    np.testing.assert_allclose(model({k: list(v) for k, v in columns.items()})["q"], wanted["q"], 1e-5, 1e-6)
    losses = model.fit(columns, y, epochs=3, batch_size=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    one = {name: column[:1] for name, column in columns.items()}
    np.testing.assert_allclose(model(one)["p"], model.predict(columns, verbose=0)["p"][:1], 1e-5)
    assert not any(s.name in ("text", "town") for s in model.host.symbols)  # what is compiled never sees text
    assert {n.layer.name for n in model.host.calls} == {"text_vectorization", "string_lookup", "hashed_crossing"}


def test_models_of_text_within_models():
    inner = text_model()
    text, town = Input((1,), dtype="string"), Input((1,), dtype="string")
    lookup = layers.StringLookup(vocabulary=["Rome", "Oslo"], output_mode="one_hot")
    outer = Model(
        [text, town], layers.Dense(2, activation="softmax")(layers.Concatenate()([inner(text), lookup(town)]))
    )
    again = Input((1,), dtype="string")
    outermost = compiled(Model([again, (other := Input((1,), dtype="string"))], outer([again, other])))
    wanted = outer([TEXTS, TOWNS])
    np.testing.assert_allclose(outermost.predict([TEXTS, TOWNS], verbose=0), wanted, 1e-5)
    weights = inner.get_weights()
    outermost.fit([TEXTS, TOWNS], LABELS, verbose=0)
    assert any((a != b).any() for a, b in zip(weights, inner.get_weights(), strict=True))
    twice = Model(
        [a := Input((1,), dtype="string"), b := Input((1,), dtype="string")],
        layers.Dense(1)(layers.Subtract()([inner(a), inner(b)])),
    )
    np.testing.assert_allclose(twice.predict([TEXTS, TEXTS], verbose=0), np.zeros((37, 1)), atol=1e-7)
    chain = Sequential([Model(text, vectorizer()(text)), *tail()])
    assert chain.input_specs()[0].dtype == text.dtype
    assert chain.predict(TEXTS, verbose=0).shape == (37, 2)
    end_to_end = compiled(Model(c := Input((1,), dtype="string"), number_model()(vectorizer()(c))))
    np.testing.assert_allclose(end_to_end.predict(TEXTS, verbose=0), number_model().predict(NUMBERS, verbose=0), 1e-6)


def test_a_chain_without_input_is_built_by_its_first_text():
    for first in (vectorizer(), layers.Hashing(20)):
        for use in (
            lambda m: m(TEXTS),
            lambda m: m.predict(TEXTS, verbose=0),
            lambda m: m.fit(TEXTS, LABELS, verbose=0),
        ):
            model = compiled(Sequential([type(first).from_config(first.get_config()), *tail()]))
            use(model)
            assert model.input_shape == (None, 1) and model.input_specs()[0].name.startswith("input")
            assert model.predict(TEXTS, verbose=0).shape == (37, 2)
    numbers = Sequential([layers.Hashing(20), layers.Embedding(20, 3)])
    assert numbers.predict(SIZES[:, None], verbose=0).shape == (37, 1, 3)


def test_pure_functions_and_transformations():
    model = text_model()
    params, state = model.params, model.state
    y, _ = model.apply(params, state, TEXTS[:, None])
    np.testing.assert_allclose(y, model(TEXTS), 1e-6)
    grads = jax.jit(jax.grad(lambda p: model.apply(p, state, TEXTS[:, None])[0][:, 0].sum()))(params)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    prepared = model.prepared(TEXTS)
    fast = jax.jit(lambda p, x: model.apply(p, state, x)[0])
    np.testing.assert_allclose(fast(params, prepared), y, 1e-6)
    assert model.compute_output_shape((None, 1)) == (None, 2)
    assert [str(s.shape) for s in model.outputs] == ["(None, 2)"]


def test_arrays_of_jax_are_read_on_the_host_and_what_is_traced_is_refused():
    town, size = Input((1,), dtype="string"), Input((1,), dtype="int32")
    model = Model([town, size], layers.HashedCrossing(9)([town, size]))
    x = [TOWNS[:, None], SIZES[:, None]]
    np.testing.assert_array_equal(model([x[0], jax.numpy.asarray(x[1])]), model(x))
    with pytest.raises(TypeError, match=r"one of its inputs is traced by JAX. Give compiled functions model.prepared"):
        jax.jit(lambda size: model([x[0], size]))(x[1])


def test_a_model_of_nothing_but_text_layers_predicts():
    text = Input((1,), dtype="string")
    model = Model(text, vectorizer()(text))
    np.testing.assert_array_equal(model.predict(TEXTS, batch_size=10, verbose=0), NUMBERS)
    np.testing.assert_array_equal(model(["great film"]), vectorizer()(["great film"]))


def test_what_was_learned_meanwhile_counts():
    """Rows read once are kept for later epochs, but not beyond another vocabulary."""
    model, seen = text_model(), []
    layer = model.layers[0]

    class Relearn(fkeras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(model.predict(TEXTS[:5], verbose=0))
            layer.set_vocabulary(["film"])

    model.compile(fkeras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    losses = model.fit(TEXTS, LABELS, epochs=3, verbose=0, callbacks=[Relearn()]).history["loss"]
    assert losses[0] != losses[1] == losses[2]
    assert (seen[0] != seen[1]).any() and (seen[1] == seen[2]).all()


def test_copies_and_clones_read_text_too(tmp_path):
    import copy
    import pickle

    model = text_model()
    wanted = model.predict(TEXTS, verbose=0)
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(made.predict(TEXTS, verbose=0), wanted)
    clone = fkeras.models.clone_model(table_model())
    assert clone.predict([TEXTS, TOWNS, SIZES, AGES], verbose=0)["p"].shape == (37, 2)
    model.summary(print_fn=lambda line: None)
    fkeras.utils.plot_model(model, tmp_path / "model.dot", show_dtype=True)
    assert "dtype: string" in (tmp_path / "model.dot").read_text()


# -------------------------------------------------------------------------------------------------- refused


def names_of_classes():
    x = Input((4,))
    return Model(
        x, layers.StringLookup(vocabulary=["a", "b"], invert=True)(layers.CategoryEncoding(3)(layers.Dense(2)(x)))
    )


def after_numbers():
    x = Input((1,))
    ids = layers.Discretization([0.0])(x)
    names = layers.StringLookup(vocabulary=["a", "b"], invert=True)(ids)
    return Model(x, layers.Dense(1)(layers.StringLookup(vocabulary=["a"], output_mode="one_hot")(names)))


def text_output():
    x = Input((1,), dtype="int32")
    return Model(x, layers.StringLookup(vocabulary=["a"], invert=True, name="names")(x))


class Subclassed(Model):
    def __init__(self):
        super().__init__()
        self.read, self.dense = vectorizer(), layers.Dense(2)

    def call(self, x):
        return self.dense(self.read(x))


@pytest.mark.parametrize(
    "make, message",
    [
        (after_numbers, "reads or gives text.*depends on Discretization 'discretization', which is compiled"),
        (names_of_classes, "reads or gives text, so that it runs on the host, ahead of the rest; but it depends on"),
        (text_output, "its output 'names' is text, which a model cannot give.*layer.model.predict"),
        (lambda: jax.jit(lambda x: layers.StringLookup(vocabulary=["a"], invert=True)(x))(np.arange(2)), "before jit"),
        (lambda: text_model().predict(np.ones((3, 1)), verbose=0), "Expected text as .*, got data of dtype float64"),
        (lambda: number_model().predict(TEXTS, verbose=0), "Expected numbers, got data of dtype object"),
        (lambda: text_model().predict(np.array(["a", None]), verbose=0), r"got 'None' \(NoneType\) at \[1\].*fillna"),
        (
            lambda: text_model().predict(np.array([["a", "b"]]), verbose=0),
            r"of shape \(None, 1\).*got an array of shape",
        ),
        (lambda: text_model()(np.array([["a", "b"]])), r"expected input of shape \(None, 1\), got \(1, 2\)"),
        (lambda: text_model().fit(TEXTS, LABELS[:3], verbose=0), "all arrays need the same number of rows"),
        (lambda: text_model().fit(TEXTS, LABELS + 5, verbose=0), "expected class numbers from 0 to 1"),
        (
            lambda: text_model().fit([(TEXTS[:3], LABELS[:3]), (np.ones(3), LABELS[:3])], verbose=0),
            "batch 1: Expected text",
        ),
        (lambda: text_model().predict("a text", verbose=0), "Put it into a list|single"),
        (
            lambda: compiled(Subclassed()).fit(TEXTS, LABELS, verbose=0),
            "in `call`, which is compiled, and JAX has no str",
        ),
        (lambda: text_model().export("served"), "its input 'text' is text, which such programs do not read"),
        (lambda: text_model().export("served", format="stablehlo"), "cannot export it"),
        (
            lambda: text_model().export("served", format="stablehlo", step="train", data=(TEXTS, LABELS)),
            "cannot export it",
        ),
        (
            lambda: compiled(
                Sequential([Input((1,), dtype="string"), vectorizer(), layers.Embedding(5, 2), *tail()[1:]])
            ).fit(TEXTS, LABELS, verbose=0),
            "Embedding",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_is_refused_by_name(make, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        make()
    assert len(str(caught.value)) <= 330  # the name of the batch comes before it
