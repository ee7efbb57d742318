"""Keras 3's steps and loops for JAX, as its guides write them, run here and by Keras itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)).astype("float32"), RNG.normal(size=(40, 1)).astype("float32")
WEIGHTS = [RNG.normal(size=shape).astype("float32") for shape in [(4, 3), (3, 1), (1,)]]
WEIGHTS = [WEIGHTS[0], *(np.full(3, v, "float32") for v in (1, 0, 0, 1)), *WEIGHTS[1:]]


def guide(k):
    """Returns the classes that Keras's guide on train_step with JAX shows, and what else programs write."""

    class Custom(k.Model):
        def compute_loss_and_outputs(self, trainable, others, x, y, training=False):
            y_pred, others = self.stateless_call(trainable, others, x, training=training)
            return self.compute_loss(x, y, y_pred), (y_pred, others)

        def train_step(self, state, data):
            trainable, others, own, metrics = state
            x, y = data
            slope = jax.value_and_grad(self.compute_loss_and_outputs, has_aux=True)
            (loss, (y_pred, others)), grads = slope(trainable, others, x, y, training=True)
            trainable, own = self.optimizer.stateless_apply(own, grads, trainable)
            new, logs = [], {}
            for metric in self.metrics:
                this = metrics[len(new) : len(new) + len(metric.variables)]
                args = (loss,) if metric.name == "loss" else (y, y_pred)
                this = metric.stateless_update_state(this, *args)
                logs[metric.name] = metric.stateless_result(this)
                new += this
            return logs, (trainable, others, own, new)

    class OwnMetrics(k.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.loss_tracker = k.metrics.Mean(name="loss")
            self.mae_metric = k.metrics.MeanAbsoluteError(name="mae")
            self.loss_fn = k.losses.MeanSquaredError()

        def loss_and_outputs(self, trainable, others, x, y):
            y_pred, others = self.stateless_call(trainable, others, x, training=True)
            return self.loss_fn(y, y_pred), (y_pred, others)

        def train_step(self, state, data):
            trainable, others, own, metrics = state
            x, y = data
            slope = jax.value_and_grad(self.loss_and_outputs, has_aux=True)
            (loss, (y_pred, others)), grads = slope(trainable, others, x, y)
            trainable, own = self.optimizer.stateless_apply(own, grads, trainable)
            n = len(self.loss_tracker.variables)
            losses = self.loss_tracker.stateless_update_state(metrics[:n], loss)
            errors = self.mae_metric.stateless_update_state(metrics[n:], y, y_pred)
            logs = {"loss": self.loss_tracker.stateless_result(losses), "mae": self.mae_metric.stateless_result(errors)}
            return logs, (trainable, others, own, losses + errors)

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae_metric]

    class Tested(k.Model):
        def test_step(self, state, data):
            x, y = data
            trainable, others, metrics = state
            y_pred, others = self.stateless_call(trainable, others, x, training=False)
            loss = self.compute_loss(x, y, y_pred)
            new, logs = [], {}
            for metric in self.metrics:
                this = metrics[len(new) : len(new) + len(metric.variables)]
                this = metric.stateless_update_state(this, *((loss,) if metric.name == "loss" else (y, y_pred)))
                logs[metric.name] = metric.stateless_result(this)
                new += this
            return logs, (trainable, others, new)

    class Metrics(k.Model):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            logs = super().compute_metrics(x, y, y_pred, sample_weight)
            return {**logs, "twice": 2 * logs["mae"]}

    class Super(k.Model):
        def train_step(self, state, data):
            logs, state = super().train_step(state, data)
            return {**logs, "more": logs["loss"] + 1}, state

    return {cls.__name__: cls for cls in (Custom, OwnMetrics, Tested, Metrics, Super)}


def run(k, name, regularizer=None):
    x = k.Input((4,))
    h = k.layers.BatchNormalization()(k.layers.Dense(3, use_bias=False, kernel_regularizer=regularizer)(x))
    model = guide(k)[name](x, k.layers.Dense(1)(k.layers.Dropout(0.0)(h)))
    model.set_weights(WEIGHTS)
    own = {} if name == "OwnMetrics" else {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mse"]}
    model.compile(optimizer=k.optimizers.Adam(0.01), **own)
    histories = [model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0).history]
    if name in ("Metrics", "Super"):
        weights = np.arange(40, dtype="float32") / 40
        histories.append(model.fit(X, Y, sample_weight=weights, batch_size=16, shuffle=False, verbose=0).history)
    if name in ("Tested", "Metrics", "Super"):
        histories.append(model.evaluate(X, Y, verbose=0, return_dict=True))
    return [m.name for m in model.metrics], histories, model.get_weights()


@pytest.mark.parametrize("name", list(guide(fkeras)))
def test_keras_steps_give_what_keras_gives(name, keras):
    regularizer = None if name == "Tested" else "l2"  # there, Keras evaluates no penalty within its own step
    regularizer = None if name == "Custom" else regularizer
    ours, theirs = run(fkeras, name, regularizer), run(keras, name, regularizer)
    assert ours[0] == theirs[0]
    for a, b in zip(ours[1], theirs[1], strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=2e-4, err_msg=key)
    for a, b in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


def test_penalties_of_a_step_of_ones_own_are_trained():
    """Keras adds them to the loss as constants at best; here `compute_loss` knows whose outputs it is given."""

    def trained(cls):
        model = cls(x := fkeras.Input((4,)), fkeras.layers.Dense(1, use_bias=False, kernel_regularizer="l2")(x))
        model.set_weights([np.ones((4, 1), "float32")])
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
        return model.get_weights()[0]

    np.testing.assert_allclose(trained(guide(fkeras)["Custom"]), trained(fkeras.Model), rtol=1e-6)


def network(k=fkeras, rate=0.5):
    layers = k.layers
    return k.Sequential(
        [
            k.Input((4,)),
            layers.Dense(8, use_bias=False),
            layers.BatchNormalization(),
            layers.Dropout(rate, seed=3),
            layers.Dense(1),
        ]
    )


def loop(k, model, steps):
    """A loop of one's own, as Keras's guide has it."""
    optimizer, loss_fn, metric = k.optimizers.Adam(1e-2), k.losses.MeanSquaredError(), k.metrics.MeanAbsoluteError()

    def objective(trainable, others, metrics):
        y_pred, others = model.stateless_call(trainable, others, X, training=True)
        metrics = metric.stateless_update_state(metrics, Y, y_pred)
        return loss_fn(Y, y_pred), (others, metrics)

    @jax.jit
    def step(trainable, others, own, metrics):
        (loss, (others, metrics)), grads = jax.value_and_grad(objective, has_aux=True)(trainable, others, metrics)
        trainable, own = optimizer.stateless_apply(own, grads, trainable)
        return loss, (trainable, others, own, metrics)

    optimizer.build(model.trainable_variables)
    lists = model.trainable_variables, model.non_trainable_variables, optimizer.variables, metric.variables
    state, losses = tuple([v.value for v in of] for of in lists), []
    for _ in range(steps):
        loss, state = step(*state)
        losses.append(float(loss))
    for v, a in zip(model.trainable_variables + model.non_trainable_variables, state[0] + state[1], strict=True):
        v.assign(a)
    return losses, float(metric.stateless_result(state[3])), [v.shape for v in model.non_trainable_variables]


def test_a_loop_on_lists_gives_what_keras_gives(keras):
    ours, theirs = network(rate=0.0), network(keras, rate=0.0)
    theirs.set_weights(ours.get_weights())
    for a, b in zip(loop(fkeras, ours, 5)[:2], loop(keras, theirs, 5)[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert loop(fkeras, network(), 1)[2] == [tuple(s) for s in loop(keras, network(keras), 1)[2]]


def test_noise_goes_on_in_the_states_and_is_repeatable():
    model = network()
    lists = [[v.value for v in of] for of in (model.trainable_variables, model.non_trainable_variables)]
    call = jax.jit(lambda *lists: model.stateless_call(*lists, X, training=True))
    first, after = call(*lists)
    second, _ = call(lists[0], after)
    assert (first != second).any() and (call(*lists)[0] == first).all()
    quiet, others = model.stateless_call(*lists, X)
    np.testing.assert_allclose(quiet, model(X), rtol=1e-6)
    assert all((a == b).all() for a, b in zip(others, lists[1], strict=True))
    with pytest.raises(ValueError, match="expected 5 arrays, its trainable variables, got 3"):
        model.stateless_call(lists[0][:3], lists[1], X)
    with pytest.raises(ValueError, match=r"expected shape \(4, 8\) for \S+/kernel, got \(1,\)"):
        model.stateless_call(lists[0][::-1], lists[1], X)


def test_losses_are_returned():
    model = fkeras.Sequential(
        [fkeras.Input((4,)), fkeras.layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1")]
    )
    _, _, losses = model.stateless_call(model.trainable_variables, [], X, return_losses=True)
    model(X)
    np.testing.assert_allclose(losses, model.losses, rtol=1e-6)


def test_a_scope_lends_variables_other_arrays():
    layer = fkeras.layers.Dense(2, use_bias=False)
    layer.build((None, 4))
    kernel, before = layer.kernel, layer(X)

    @jax.jit
    def call(array):
        with fkeras.StatelessScope([(kernel, array)]) as scope:
            y = layer(X)
            kernel.assign(kernel + 1)
        return y, scope.get_current_value(kernel)

    y, after = call(jnp.ones((4, 2)))
    np.testing.assert_allclose(y, X @ np.ones((4, 2)), rtol=1e-5)
    np.testing.assert_array_equal(after, 2 * np.ones((4, 2)))
    np.testing.assert_array_equal(layer(X), before)
    other = fkeras.Variable(1.0)
    assert fkeras.StatelessScope([(kernel, kernel)]).get_current_value(other) is None
