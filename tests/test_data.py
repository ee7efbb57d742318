"""Sources of batches and what becomes of arguments on the way to them: without models where that is possible."""

import h5py
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.data import feed
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


def test_a_misspelt_shuffle_is_refused():
    with pytest.raises(ValueError, match="expected shuffle as True, False or 'batch', got 'batches'"):
        model().fit(X, Y, shuffle="batches", verbose=0)


def test_split_off_rows_come_in_batches_of_validation_batch_size():
    source = feed.training_source(model(), X, Y, None, None, 4, True, None)
    first, last = feed.validation_source(model(), source, None, 0.5, 2, None)
    assert (first.batch_size, last.batch_size, last.steps) == (4, 2, 3)
    with pytest.raises(ValueError, match="expected batch_size >= 1, got 0"):
        model().fit(X, Y, validation_split=0.5, validation_batch_size=0, verbose=0)
