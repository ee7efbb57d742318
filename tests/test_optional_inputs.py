"""Inputs that may be left out: the layers called on them get None."""

import numpy as np
import pytest

import fkeras
from fkeras import layers

ONE = np.ones((10, 1), np.float32)


class Plus(fkeras.layers.Layer):
    def call(self, p, q=None):
        return p if q is None else p + q

    def compute_output_shape(self, p_shape, q_shape=None):
        return p_shape


def model(form=dict):
    p, q = fkeras.Input((1,), name="p"), fkeras.Input((1,), optional=True, name="q")
    net = fkeras.Model(
        {"p": p, "q": q} if form is dict else [p, q], layers.Dense(1, kernel_initializer="ones")(Plus()(p, q))
    )
    net.compile("sgd", "mse")
    return net


@pytest.mark.parametrize("form", [dict, list])
def test_an_input_left_out_is_none(form):
    net = model(form)
    both, alone = ({"p": ONE, "q": q} if form is dict else [ONE, q] for q in (ONE, None))
    assert (np.asarray(net(both)) == 2).all() and (np.asarray(net(alone)) == 1).all()
    assert (net.predict(both, batch_size=4, verbose=0) == 2).all()
    assert (net.predict(alone, batch_size=4, verbose=0) == 1).all()
    assert net.evaluate(alone, ONE, batch_size=4, verbose=0) == 0
    assert net.evaluate(both, ONE, batch_size=4, verbose=0) == pytest.approx(1)
    assert net.fit(alone, 0 * ONE, batch_size=4, verbose=0).history["loss"][0] < 1
    net.fit(both, 0 * ONE, batch_size=4, verbose=0)
    assert np.isfinite(net.train_on_batch(alone, ONE)) and net.predict_on_batch(alone).shape == (10, 1)
    assert net.fit(iter([(alone, ONE), (both, ONE), (alone, ONE)]), verbose=0).epoch == [0]


def test_an_input_that_is_not_optional_is_asked_for():
    with pytest.raises(ValueError, match="nothing was given for its input 'p', which is not optional"):
        model()({"p": None, "q": ONE})
    with pytest.raises(ValueError, match="p"):
        model().predict({"p": None, "q": ONE}, verbose=0)


def test_files_keep_that_an_input_is_optional(keras, tmp_path):
    p, q = fkeras.Input((1,), name="p"), fkeras.Input((1,), optional=True, name="q")
    fkeras.Model([p, q], layers.Add()([p, q])).save(tmp_path / "m.keras")
    assert keras.saving.load_model(tmp_path / "m.keras").inputs[1]._keras_history.operation.optional
    assert fkeras.models.load_model(tmp_path / "m.keras").inputs[1].node.layer.optional
