"""Errors within compiled steps: the model keeps the weights of the last good step."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import fkeras
from fkeras import layers

X, Y = np.ones((40, 3), np.float32), np.zeros((40, 1), np.float32)


def model(fails_at):
    """A model whose loss, computed on the host, raises in its step number `fails_at`."""
    calls = []

    def host(y, p):
        calls.append(1)
        if len(calls) == fails_at:
            raise ArithmeticError("the host says no")
        return np.float32(0)

    @jax.custom_jvp
    def watched(y, p):
        return jax.pure_callback(host, jax.ShapeDtypeStruct((), np.float32), y, p)

    watched.defjvp(lambda primals, tangents: (watched(*primals), np.float32(0)))

    def loss(y, p):
        return (p - y) ** 2 + watched(y, p)

    fkeras.utils.set_random_seed(1)
    net = fkeras.Sequential([layers.Input((3,)), layers.Dense(1)])
    net.compile("adam", loss, distribute=False)
    return net


@pytest.mark.parametrize("hooks", [False, True])
def test_a_loss_that_raises_on_the_host_leaves_the_last_good_weights(hooks):
    net = model(6)
    before = [w.copy() for w in net.get_weights()]
    watch = [fkeras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: logs["loss"])] * hooks
    with pytest.raises(jax.errors.JaxRuntimeError, match="the host says no") as caught:
        net.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=watch)
    assert "is as it was after the last good step" in "".join(caught.value.__notes__)
    after = net.get_weights()
    assert all(np.isfinite(a).all() for a in after)
    if hooks:  # five steps were good
        assert any((a != b).any() for a, b in zip(before, after, strict=True))
        assert int(net.optimizer.iterations) == 5
    net.fit(X, Y, verbose=0)
    net.predict(X, verbose=0)


def test_a_single_batch_that_fails_changes_nothing():
    net = model(2)
    net.train_on_batch(X, Y)
    before = [w.copy() for w in net.get_weights()]
    with pytest.raises(jax.errors.JaxRuntimeError, match="the host says no"):
        net.train_on_batch(X, Y)
    for a, b in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(net.optimizer.iterations) == 1
    net.train_on_batch(X, Y)


MEMORY = """
import resource
import jax, numpy as np, fkeras
from fkeras import layers
fkeras.utils.set_random_seed(1)
x = np.ones((3000, 4), np.float32)
square = layers.Lambda(lambda a: a[:, :, None] * a[:, None])
net = fkeras.Sequential(
    [layers.Input((4,)), layers.Dense(3000, "tanh"), square, layers.GlobalAveragePooling1D(), layers.Dense(1)]
)
net.compile("sgd", "mse")
net.fit(x[:4], x[:4, :1], batch_size=4, verbose=0)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), -1))
try:
    net.fit(x, x[:, :1], batch_size=3000, verbose=0)
except Exception as err:
    print(type(err).__name__, err, *err.__notes__)
net.fit(x[:8], x[:8, :1], batch_size=4, verbose=0)
print("usable", bool(np.isfinite(net.predict(x[:2], verbose=0)).all()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
def test_too_large_a_batch_is_told_and_a_smaller_one_works():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, timeout=300)
    assert "usable True" in done.stdout, done.stdout + done.stderr[-2000:]
    assert "A step over batches of 3000 rows needs about" in done.stdout, done.stdout
