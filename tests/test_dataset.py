"""The data set that folder readers return: its methods, its order, its threads."""

import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras.data import Dataset


def rows(n=10, **kwargs):
    """Rows (i as floats [2], i % 3)."""
    return Dataset.of_rows(n, lambda i: (np.full(2, i, "float32"), np.int32(i % 3)), **kwargs)


def firsts(data):
    """Returns the numbers that came, batch by batch or row by row."""
    return [np.asarray(x)[..., 0].tolist() for x, _ in data]


def test_methods_are_those_of_tf_data():
    """On the same numbers, by tf.data itself where it is there."""
    tf = pytest.importorskip("tensorflow")
    values = np.arange(10, dtype="int32")
    mine, its = Dataset.of_rows(10, lambda i: values[i]), tf.data.Dataset.from_tensor_slices(values)
    for name, chain in {
        "batch": lambda d: d.batch(4),
        "batch, remainder dropped": lambda d: d.batch(4, drop_remainder=True),
        "unbatch": lambda d: d.batch(4).unbatch().batch(3),
        "take": lambda d: d.take(3),
        "take more": lambda d: d.take(30),
        "take all": lambda d: d.take(-1),
        "skip": lambda d: d.skip(7),
        "skip more": lambda d: d.skip(30),
        "repeat": lambda d: d.take(3).repeat(2),
        "repeat for ever": lambda d: d.take(3).repeat().take(7),
        "map": lambda d: d.map(lambda x: x * 2, num_parallel_calls=2).map(lambda x: (x, x + 1)),
        "map pairs": lambda d: d.map(lambda x: (x, {"a": x})).map(lambda x, y: y["a"] + x).batch(3),
        "filter": lambda d: d.filter(lambda x: x % 2 == 0).batch(2),
        "cache, prefetch": lambda d: d.cache().prefetch(-1).batch(4).prefetch(2),
        "concatenate": lambda d: d.take(2).concatenate(d.skip(8)),
        "batches of batches": lambda d: d.batch(2).batch(2, drop_remainder=True),
    }.items():
        for _ in range(2):
            got, want = (list(chain(d).as_numpy_iterator()) for d in (mine, its))
            assert str(got) == str(want), name
        if "unbatch" not in name:  # tf.data may know their number
            assert chain(mine).cardinality() == chain(its).cardinality().numpy(), name
    assert set(mine.shuffle(10).as_numpy_iterator()) == set(range(10))


def test_length_is_there_where_it_is_known():
    assert len(rows()) == 10 and len(rows().batch(4).take(2)) == 2 and len(rows().map(lambda x, y: x).cache()) == 10
    for data in (rows().repeat(), rows().filter(lambda x, y: True), rows().batch(2).unbatch()):
        assert not hasattr(data, "__len__")
        with pytest.raises(TypeError):
            len(data)
    assert repr(rows()) == "<Dataset of 10 elements>" and repr(rows().repeat()) == "<Dataset without end>"


def test_the_order_is_a_function_of_seed_and_epoch():
    data, again = (rows(shuffle=True, seed=7).batch(3) for _ in range(2))
    passes = [firsts(data) for _ in range(3)]
    assert passes[0] != passes[1] != passes[2]
    again.epoch = 2
    assert firsts(again) == passes[2] and again.epoch == 3
    assert firsts(rows(shuffle=True, seed=8).batch(3)) != passes[0]
    for chain in (
        lambda d: d.shuffle(4, seed=1).batch(3),
        lambda d: d.shuffle(100, seed=1).cache().batch(3).repeat(2).prefetch(2),
        lambda d: d.batch(2).shuffle(3, seed=1).unbatch(),
        lambda d: d.map(lambda x, y: (x + 1, y), num_parallel_calls=4).shuffle(5, seed=2),
    ):
        first, second = chain(rows()), chain(rows())
        passes = [firsts(first) for _ in range(3)]
        second.epoch = 2
        assert firsts(second) == passes[2]
        assert sorted(np.hstack(passes[1])) == sorted(np.hstack(passes[0]))
    assert firsts(rows().cache().shuffle(100, seed=1)) != firsts(rows().cache().shuffle(100, seed=1).skip(1))
    same = rows().shuffle(10, seed=3, reshuffle_each_iteration=False)
    assert firsts(same) == firsts(same)


def test_every_order_of_a_full_buffer_is_equally_probable():
    data = Dataset.of_rows(3, lambda i: np.int32(i)).shuffle(3, seed=0)
    seen = [tuple(x.item() for x in data) for _ in range(600)]
    counts = [seen.count(order) for order in set(seen)]
    assert len(counts) == 6 and min(counts) > 60  # 100 +- 9, four standard deviations


def test_unseeded_orders_follow_the_process_wide_seed():
    orders = []
    for _ in range(2):
        fkeras.utils.set_random_seed(5)
        orders.append(firsts(rows().shuffle(10)))
    assert orders[0] == orders[1] != firsts(rows().shuffle(10))


def test_nothing_is_read_that_nobody_takes():
    read = []
    data = Dataset.of_rows(1000, lambda i: (read.append(i), np.int32(i))[1]).batch(10)
    assert [x[0].item() for x in data.skip(50).shuffle(3, seed=0).take(2)]
    assert min(read) >= 500 and len(read) <= 20
    del read[:]
    assert next(iter(data))[0] == 0
    assert len(read) < 200  # what the threads had begun


def test_rows_are_read_by_threads_ahead_and_come_in_order():
    names, busy, most = set(), [0], [0]
    lock = threading.Lock()

    def read(i):
        with lock:
            names.add(threading.current_thread().name)
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.002 * (i % 3))
        with lock:
            busy[0] -= 1
        return np.int32(i)

    data = Dataset.of_rows(40, read).batch(8)
    assert np.concatenate(list(data)).tolist() == list(range(40))
    assert threading.current_thread().name not in names and all(name.startswith("fkeras-reads") for name in names)
    assert most[0] >= min(2, fkeras.data.datasets.THREADS)


def test_prefetching_runs_ahead_of_who_takes():
    made = []
    data = rows().map(lambda x, y: (made.append(1), (x, y))[1]).prefetch(3)
    taken = iter(data)
    next(taken)
    end = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < end:
        time.sleep(0.001)
    assert len(made) == 4
    del taken
    before = threading.active_count()
    assert firsts(data) and threading.active_count() <= before  # threads end with the pass


@pytest.mark.parametrize("chain", [lambda d: d, lambda d: d.batch(3).prefetch(2), lambda d: d.map(lambda x, y: (x, y))])
def test_errors_of_readers_come_with_their_own_message(chain):
    def read(i):
        if i == 5:
            raise ValueError("row 5 is broken")
        return np.float32([i]), np.int32(i)

    with pytest.raises(ValueError, match="row 5 is broken"):
        list(chain(Dataset.of_rows(9, read)))


def test_a_cache_reads_once_and_only_a_whole_pass_fills_it():
    read = []
    data = Dataset.of_rows(6, lambda i: (read.append(i), np.int32(i))[1]).cache()
    assert [x.item() for x in data.take(2)] == [0, 1]
    assert [x.item() for x in data] == [x.item() for x in data] == list(range(6))
    assert len(read) <= 12  # what was begun of the first pass, and one whole
    before = len(read)
    list(data), list(data.shuffle(6))
    assert len(read) == before


def test_elements_answer_numpy_as_tensors_do():
    texts = Dataset.of_rows(3, lambda i: (np.array("ab"[: i % 3], object), np.int32(i))).batch(3)
    for text, label in texts:
        assert text.numpy()[2] == "ab" and text[1].numpy() == "a" and label[2].numpy() == 2
        assert ["x", "y", "z"][label[1]] == "y" and {2: "two"}[label[2]] == "two" and int(label[0]) == 0
        assert isinstance(label.numpy(), np.ndarray) and type(label.numpy()) is np.ndarray
    assert type(next(texts.as_numpy_iterator())[1]) is np.ndarray


def test_functions_of_jax_and_layers_may_be_mapped():
    layer = fkeras.layers.Rescaling(0.5)
    data = rows().batch(5).map(lambda x, y: (layer(x), jnp.square(y)), num_parallel_calls=2)
    assert firsts(data)[1] == [2.5, 3, 3.5, 4, 4.5]
    assert isinstance(next(iter(data))[1].numpy(), np.ndarray)


def test_batches_of_unequal_rows_are_refused():
    data = Dataset.of_rows(3, lambda i: np.zeros(i)).batch(2)
    with pytest.raises(
        ValueError, match=r"all elements of a batch need one shape, got \[\(0,\), \(1,\)\]\. Resize or pad"
    ):
        list(data)
    for call in (lambda d: d.batch(0), lambda d: d.shuffle(0)):
        with pytest.raises(ValueError, match="expected (batch_size|buffer_size) >= 1, got 0"):
            call(data)


def test_models_take_data_sets():
    x = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
    y = (x[:, :1] > 0).astype("float32")
    data = Dataset.of_rows(70, lambda i: (x[i], y[i])).batch(32)

    def model():
        fkeras.utils.set_random_seed(1)
        made = fkeras.Sequential([fkeras.layers.Dense(1, "sigmoid", input_shape=(4,))])
        made.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return made

    mine, its = model(), model()
    history = mine.fit(data.cache().prefetch(-1), epochs=2, validation_data=data, verbose=0).history
    want = its.fit(x, y, epochs=2, batch_size=32, shuffle=False, validation_data=(x, y), verbose=0).history
    assert history.keys() == want.keys()
    np.testing.assert_allclose([history[k] for k in want], list(want.values()), rtol=1e-5)
    np.testing.assert_allclose(mine.evaluate(data, verbose=0), its.evaluate(x, y, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(mine.predict(data, verbose=0), its.predict(x, verbose=0), rtol=1e-5)
    mine.fit(data.repeat(), epochs=2, steps_per_epoch=4, verbose=0)
    mine.fit(data.filter(lambda x, y: y.sum() > 0), epochs=2, verbose=0)


def test_batches_of_rows_in_memory_are_gathered_when_they_are_taken():
    taken = []
    data = Dataset.of_batches(10, 4, lambda rows: (taken.append(len(rows)), rows * 2)[1], shuffle=True, seed=1)
    assert len(data) == 3 and [x.shape for x in data.skip(1)] == [(4,), (2,)] and taken == [4, 2]
    passes = [np.concatenate(list(data)).tolist() for _ in range(2)]
    assert passes[0] != passes[1] and sorted(passes[0]) == sorted(passes[1]) == list(range(0, 20, 2))
    data.epoch = 1
    assert np.concatenate(list(data)).tolist() == passes[1]
    assert [x.item() for x in data.unbatch().take(2)] == passes[0][:2]
