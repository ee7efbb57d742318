"""Sources of batches and what becomes of arguments on the way to them: without models where that is possible."""

import contextlib
import os

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.data import feed, files, sources
from fkeras.data.memory import BlockPool
from fkeras.data.sources import BatchSource, Columns, make_source

X = np.arange(22, dtype=np.float32).reshape(11, 2)
Y = np.ones((11, 1), np.float32)


def rows_of(source, seed=0):
    """The first column of all real rows of an epoch, batch by batch."""
    reader, found = source.reader(seed), []
    while got := reader.read(1, 1):
        block = got[0]
        found.append(block["x"][0][block["rows"]][:, 0].tolist())
    reader.close()
    return found


def model():
    made = fkeras.Sequential([layers.Dense(1, input_shape=(2,))])
    made.compile("sgd", "mse")
    return made


def two_outputs(inputs=1):
    xs = [layers.Input((2,)) for _ in range(inputs)]
    made = fkeras.Model(xs, [layers.Dense(1, name="a")(xs[0]), layers.Dense(1, name="b")(xs[-1])])
    made.compile("sgd", ["mse", "mse"])
    return made


@pytest.mark.parametrize("where", ["memory", "file"])
def test_shuffling_batches_moves_whole_batches_and_leaves_the_ragged_one_last(where, tmp_path):
    x = X
    if where == "file":
        x = h5py.File(tmp_path / "x.h5", "w").create_dataset("x", data=X)
    found = rows_of(make_source(Columns([x]), 4, "batch"), seed=3)
    straight = rows_of(make_source(Columns([X]), 4))
    assert sorted(found) == sorted(straight) and found[-1] == straight[-1]
    assert {str(rows_of(make_source(Columns([x]), 4, "batch"), seed)) for seed in range(8)} > {str(straight)}


class Counted:
    """An array in a file of which each piece that is read is noted."""

    def __init__(self, array):
        self.array, self.reads = array, []
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        part = self.array[index]
        self.reads.append(len(part))
        return part


def test_a_data_set_that_lies_in_its_file_as_an_array_does_is_mapped(tmp_path):
    path, x = tmp_path / "x.h5", np.arange(30.0).reshape(10, 3) - 9
    arrays = {"double": x, "half": x.astype("float16"), "int": x.astype(int), "bool": x > 0}
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, a in arrays.items():
            file[name] = a
        file["complex"], file["swapped"] = x + 1j, x.astype(">f4")
        file.create_dataset("pieces", data=x, chunks=(4, 3))
        file.create_dataset("small", data=x, compression="gzip")
        file.create_dataset("unwritten", (10, 3), "float32", fillvalue=7)
        file.create_dataset("nothing", (0, 3), "float32")
        file.create_dataset("external", data=x, external=[(str(tmp_path / "raw"), 0, x.nbytes)])
        assert not isinstance(files.mapped(file["double"]), np.memmap)  # what was written may not be there yet
    with h5py.File(path) as file:
        other = tmp_path / "other"
        other.write_bytes(bytes(10_000))
        other.rename(path)  # h5py still reads the file it opened, and so does the map
        for name, data in file.items():
            found = files.mapped(data)
            assert isinstance(found, np.memmap) == (name in arrays), name
            np.testing.assert_array_equal(found[:], data[:], name)
            if name in arrays:
                np.testing.assert_array_equal(found, arrays[name], name)
                assert not found.flags.writeable
        source = make_source(Columns([file["double"]]), 4, True)
    assert rows_of(source, 1) == rows_of(make_source(Columns([x]), 4, True), 1)  # the file is closed, the map stays
    with h5py.File(path, "w", driver="core", backing_store=False) as file:
        file["x"] = x
        assert not isinstance(files.mapped(file["x"]), np.memmap)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no such advice")
def test_the_system_is_told_which_rows_of_a_large_file_come_next(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SMALL_BYTES", 0)
    monkeypatch.setattr(sources, "READ_BYTES", 200)
    told = []

    def advise(file, start, size, advice):
        assert advice == os.POSIX_FADV_WILLNEED
        told.append(np.frombuffer(os.pread(file, size, start), float))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    x = np.random.default_rng(0).normal(size=(5000, 3))
    np.save(tmp_path / "x.npy", x)
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=8192) as file:
        file["x"] = x
    whole = np.load(tmp_path / "x.npy", mmap_mode="r")
    for data in (whole, whole[1000:], h5py.File(tmp_path / "x.h5")["x"]):
        for part in make_source(Columns([data]), 4, True).split(0.7, 4):
            part.shuffle = True
            told.clear()
            read = np.concatenate([b.x[0][: b.real] for b in _batches(part)])
            np.testing.assert_array_equal(np.stack(told).astype(read.dtype), read)
    told.clear()
    list(_batches(make_source(Columns([whole]), 4, "batch")))
    assert not told and len(read) == 3500


def _batches(source):
    reader = source.reader(1)
    while got := reader.batches.take(1):
        yield from got
    reader.close()


@pytest.mark.parametrize("shuffle", [False, True, "batch"])
def test_a_file_is_read_in_pieces_of_several_batches(shuffle, monkeypatch):
    monkeypatch.setattr(sources, "READ_BYTES", 70)  # rows of 8 bytes: two batches of four
    x, straight = Counted(X), make_source(Columns([X]), 4, shuffle)
    source = sources.FileSource(Columns([x]), 4, shuffle)
    assert rows_of(source, 3) == rows_of(straight, 3)
    assert x.reads[-2:] == [8, 3] and len(x.reads) < 6
    parts = [[], []]
    for part, found in enumerate(parts):
        reader = source.reader(3, sources.Share(2, 2, part))
        while got := reader.read(1, 1):
            block = got[0]
            found.append(block["x"][0][block["rows"]][:, 0].tolist())
        reader.close()
    assert [a + b for a, b in zip(*parts, strict=True)] == rows_of(straight, 3)


def test_memory_maps_are_read_whole_and_in_any_form(tmp_path):
    for order in "CF":
        x = np.memmap(tmp_path / order, np.float32, "w+", shape=X.shape, order=order)
        x[:] = X
        source = make_source(Columns([x]), 4)
        assert isinstance(source, sources.FileSource)
        assert rows_of(source) == rows_of(make_source(Columns([X]), 4))


def test_a_misspelt_shuffle_is_refused():
    with pytest.raises(ValueError, match="expected shuffle as True, False or 'batch', got 'batches'"):
        model().fit(X, Y, shuffle="batches", verbose=0)


def test_split_off_rows_come_in_batches_of_validation_batch_size():
    source = feed.training_source(model(), X, Y, None, None, 4, True, None)
    first, last = feed.validation_source(model(), source, None, 0.5, 2, None)
    assert (first.batch_size, last.batch_size, last.steps) == (4, 2, 3)
    with pytest.raises(ValueError, match="expected batch_size >= 1, got 0"):
        model().fit(X, Y, validation_split=0.5, validation_batch_size=0, verbose=0)


class Numbered(fkeras.utils.PyDataset):
    """Three batches that note when they are read."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.read = []

    def __len__(self):
        return 3

    def __getitem__(self, i):
        self.read.append(i)
        return np.full((2, 2), i, np.float32), np.ones((2, 1), np.float32)


def epochs_of(data, **how):
    source = BatchSource(data, lambda batch: Columns([batch[0]], [batch[1]]), **how)
    found = []
    for _ in range(3):
        found.append([int(batch[0]) for batch in rows_of(source)])
        source.end_epoch()
    return found


@pytest.mark.parametrize("form", ["data set", "with workers", "list"])
@pytest.mark.parametrize(
    "how, expected",
    [
        ({}, [[0, 1, 2]] * 3),
        ({"steps": 2}, [[0, 1], [2, 0], [1, 2]]),
        ({"steps": 5}, [[0, 1, 2, 0, 1], [2, 0, 1, 2, 0], [1, 2, 0, 1, 2]]),
        ({"steps": 2, "goes_on": False}, [[0, 1]] * 3),
    ],
    ids=str,
)
def test_steps_per_epoch_go_on_through_the_data_and_validation_steps_begin_anew(form, how, expected):
    # A PyDataset was asked for batches behind its end, or for its first ones again and again.
    data = Numbered(workers=2 if form == "with workers" else 1)
    assert epochs_of([data[i] for i in range(3)] if form == "list" else data, **how) == expected


@pytest.mark.parametrize("form", ["array", "file"])
def test_steps_go_on_through_what_a_validation_split_leaves(form, tmp_path):
    values = np.arange(10, dtype="float32").reshape(10, 1)
    if form == "file":
        np.save(tmp_path / "x.npy", values)
        values = np.load(tmp_path / "x.npy", mmap_mode="r")
    made = fkeras.Sequential([fkeras.Input((1,)), fkeras.layers.Dense(1, kernel_initializer="ones")])
    made.compile(fkeras.optimizers.SGD(0.0), "mae")
    options = {"validation_split": 0.2, "batch_size": 2, "steps_per_epoch": 2, "shuffle": False}
    history = made.fit(values, np.zeros((10, 1)), epochs=3, verbose=0, **options).history
    assert history["loss"] == [1.5, 5.5, 1.5] and history["val_loss"] == [8.5] * 3  # rows 0 to 3, 4 to 7, 0 to 3


def test_validation_steps_see_the_same_batches_after_every_epoch():
    data = Numbered()
    model().fit(X, Y, validation_data=data, validation_steps=2, epochs=3, verbose=0)
    assert data.read == [0, 1] * 3


def test_a_data_set_without_end_is_read_step_by_step():
    class Endless(Numbered):
        num_batches = None

    assert epochs_of(Endless(), steps=2) == [[0, 1], [2, 3], [4, 5]]


def test_a_generator_that_ran_out_between_epochs_is_not_called_empty():
    with pytest.raises(ValueError, match="the data ran out: no batch was left for this epoch"):
        model().fit(((X, Y) for _ in range(2)), epochs=2, verbose=0)


def test_tuples_of_inputs_and_targets_are_not_batches():
    logs = two_outputs(2).fit([X, X], [Y, Y], validation_data=((X, X), (Y, Y)), verbose=0).history
    assert "val_a_loss" in logs


@pytest.mark.parametrize("weights", [{"a": np.zeros(11)}, [np.zeros(11), None]], ids=["dict", "list"])
def test_an_output_without_sample_weights_counts_in_full(weights):
    made = two_outputs()
    plain = made.evaluate(X, [Y, Y], return_dict=True, verbose=0)
    logs = made.evaluate(X, [Y, Y], sample_weight=weights, return_dict=True, verbose=0)
    assert logs["a_loss"] == 0 and logs["b_loss"] == pytest.approx(plain["b_loss"])


def test_sample_weights_for_no_output_are_refused():
    with pytest.raises(ValueError, match="sample_weight has 'aa', but no output is called so. Did you mean 'a'"):
        two_outputs().fit(X, [Y, Y], sample_weight={"aa": np.ones(11)}, verbose=0)


@pytest.mark.parametrize("form", ["numbers", "numbers in a last axis", "one-hot"])
@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0])], ids=["", "rows weighted"])
def test_class_weights_weigh_each_time_step_by_its_own_class(form, weight):
    # [B, T, 1] took the class of the first time step for all, and [B, T] the place of the largest one.
    made = fkeras.Sequential([layers.Dense(3, activation="softmax", input_shape=(4, 2))])
    steps = np.array([[0, 1, 2, 1], [2, 2, 0, 1]])
    y = {"numbers": steps, "numbers in a last axis": steps[..., None], "one-hot": np.eye(3)[steps]}[form]
    columns = Columns([np.zeros((2, 4, 2))], [y], None if weight is None else [weight])
    (found,) = feed._class_weigher(made, {0: 1.0, 1: 10.0, 2: 100.0})(columns).w
    rows = np.ones(2) if weight is None else weight
    np.testing.assert_array_equal(found, np.array([1.0, 10.0, 100.0])[steps] * rows[:, None])


def test_outputs_of_predicted_batches_leave_padding_out():
    seen = []
    watch = fkeras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"]))
    whole = model().predict(X, batch_size=4, callbacks=[watch], verbose=0)
    assert [len(part) for part in seen] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(seen), whole)


def test_averaged_weights_are_put_in_place_under_a_loss_scale_too():
    made = model()
    made.compile(fkeras.optimizers.LossScaleOptimizer(fkeras.optimizers.SGD(0.01, use_ema=True)), "mse")
    made.fit(X, Y, verbose=0)
    (averages,) = made.optimizer.state["inner"]["ema"].values()
    np.testing.assert_array_equal(made.get_weights()[0], averages["kernel"])


def test_validation_freq_and_names_of_metrics_are_checked_at_the_door():
    with pytest.raises(ValueError, match="expected validation_freq >= 1 or a list of epochs, got 0"):
        model().fit(X, Y, validation_data=(X, Y), validation_freq=0, verbose=0)
    with pytest.raises(ValueError, match=r"compile\(metrics=...\): no output is called 'c'"):
        two_outputs().compile("sgd", "mse", metrics={"c": "mae"})


def test_memory_of_blocks_is_used_again_once_nobody_holds_it():
    pool = BlockPool()

    def address():
        return pool.empty((2, 3), np.dtype("float32")).ctypes.data

    first = address()
    assert first % 64 == 0 and address() == first
    held = pool.empty((2, 3), np.dtype("float32"))
    view, other = held[:1].T, pool.empty((6,), np.dtype("float32"))
    assert held.ctypes.data == first and other.ctypes.data != first
    del held
    assert address() not in (first, other.ctypes.data)
    del view
    assert address() == first


def test_a_compiled_function_that_still_reads_a_block_holds_its_memory():
    pool = BlockPool()
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 300, lambda i, y: jnp.tanh(y @ x), x).sum())
    expected = None
    for _ in range(6):
        x = pool.empty((200, 200), np.dtype("float32"))
        x[...] = np.eye(200)
        found = slow(x)
        del x
        pool.empty((200, 200), np.dtype("float32"))[...] = np.nan  # while it computes
        expected = found if expected is None else expected
        assert float(found) == float(expected) and np.isfinite(float(found))


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
@pytest.mark.parametrize("kind", ["hdf5", "memmap"])
def test_a_file_that_is_cut_short_while_it_trains_is_an_error(kind, shuffle, tmp_path):
    """Touching a page of a memory map that is gone ends the process (SIGBUS), and HDF5 reads zeros."""
    path, x = str(tmp_path / "x"), np.ones((4000, 64), "float32")
    with contextlib.ExitStack() as files:
        if kind == "hdf5":
            with h5py.File(path, "w") as file:
                file["x"] = x
            data = files.enter_context(h5py.File(path, "r"))["x"]
        else:
            x.tofile(path)
            data = np.memmap(path, "float32", "r", shape=x.shape)
        model = fkeras.Sequential([fkeras.Input((64,)), fkeras.layers.Dense(1)])
        model.compile("sgd", "mse")
        cut = fkeras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: os.truncate(path, 20000))
        with pytest.raises(OSError, match="cannot read rows: the file has 20000 bytes, expected 102"):
            model.fit(data, x[:, :1], epochs=5, shuffle=shuffle, verbose=0, callbacks=[cut])
        with pytest.raises(OSError, match="the file has 20000 bytes"):
            model.predict(data, verbose=0)
