"""Reading of the archives that come with the package."""

import importlib.resources

import numpy as np


def arrays(name):
    """Returns {array's name: array} of `<name>.npz` in this folder."""
    with importlib.resources.files(__package__).joinpath(f"{name}.npz").open("rb") as file:
        archive = np.load(file)
        return {key: archive[key] for key in archive.files}


def held_out(x, y, test_rows):
    """Returns ((x_train, y_train), (x_test, y_test)): rows shuffled, always the same way, and the last held out."""
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:-test_rows], order[-test_rows:]
    return (x[train], y[train]), (x[test], y[test])
