"""Models, objectives and runs drawn by a seed, trained here and by real Keras: the same numbers, names and files."""

import jax
import numpy as np
import pytest

import fkeras
from tests import random_models
from tests.random_models import Refused, compared, draw, judged, made, shrunk

SAMPLE = (3, 7, 46, 31)  # a sequence of weighted steps, validation and a file, class weights, a stream
LONG = range(1000, 3000)


@pytest.fixture
def agree(keras):
    def check(seed):
        drawn = draw(seed)
        differences = judged(drawn, fkeras, keras)
        assert not differences, f"{differences}\n{drawn}"

    return check


@pytest.mark.parametrize("seed", SAMPLE)
def test_what_a_seed_draws_is_what_keras_makes_of_it(seed, agree):
    agree(seed)


@pytest.mark.long
@pytest.mark.parametrize("first", range(LONG.start, LONG.stop, 50))
def test_many_seeds_agree(first, keras):
    failed, refused = {}, 0
    for seed in range(first, first + 50):
        drawn = draw(seed)
        try:
            if judged(drawn, fkeras, keras):
                small = shrunk(drawn, lambda one: _fails(one, keras))
                failed[seed] = small, judged(small, fkeras, keras)
        except Refused:
            refused += 1
        jax.clear_caches()
    assert not failed
    assert refused < 15


def _fails(drawn, keras):
    try:
        return judged(drawn, fkeras, keras)
    except Exception:  # what was taken away was needed
        return False


def test_draws_are_the_seeds_own_and_of_many_kinds():
    assert draw(4) == draw(4) != draw(5)
    drawn = [draw(seed) for seed in range(60)]
    ways = {one.run["way"] for one in drawn}
    assert ways == {"fit", "batches", "stream", "sequence"}
    kinds = {call["layer"].kind for one in drawn for call in one.calls if not isinstance(call["layer"], int)}
    assert len(kinds) > 40
    assert any(None in given["known"] for one in drawn for given in one.inputs)
    assert any(isinstance(call["layer"], int) for one in drawn for call in one.calls)


def test_differences_are_found_and_shrunk():
    """The judge sees what is wrong: a number, a name, a shape; and takes away what has no part in it."""
    want = {"loss": np.array([1.0, 2.0]), "names": "loss, mae"}
    assert not compared(want, {"loss": np.array([1.0, 2.000001]), "names": "loss, mae"})
    assert list(compared(want, {"loss": np.array([1.0, 2.001]), "names": "loss, mae"})) == ["loss"]
    assert not compared(want, {"loss": np.array([1.0, 2.001]), "names": "loss, mae"}, {"loss": np.array([1.0, 2.0001])})
    assert set(compared(want, {"loss": np.array([1.0, np.nan]), "names": "loss, mse"})) == {"loss", "names"}
    assert list(compared(want, {"loss": np.array([1.0]), "names": "loss, mae"})) == ["loss"]
    drawn = next(one for one in map(draw, range(60)) if len(one.calls) > 4 and "Dense" in _kinds(one))
    small = shrunk(drawn, _has_dense)
    assert _kinds(small).count("Dense") == 1 and len(small.calls) < len(drawn.calls)


def _kinds(drawn):
    return [call["layer"].kind for call in drawn.calls if not isinstance(call["layer"], int)]


def _has_dense(drawn):
    try:
        return made(drawn, fkeras).count_params() > 0 and "Dense" in _kinds(drawn)
    except (TypeError, ValueError):
        return False


def test_weights_are_drawn_for_every_array(keras):
    drawn = draw(3)
    keras.utils.set_random_seed(3)
    weights = random_models.weights_of(drawn, made(drawn, keras))
    changed = random_models.weights_of(drawn, made(drawn, keras), 1e-3)
    assert all(a.any() for a in weights) and len(weights) == len(made(drawn, fkeras).get_weights())
    assert any((a != b).any() for a, b in zip(weights, changed, strict=True))
