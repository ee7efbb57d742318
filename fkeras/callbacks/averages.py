"""Evaluation with averaged weights."""

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.callbacks.base import ConfiguredCallback
from fkeras.core import tree


class SwapEMAWeights(ConfiguredCallback):
    """Evaluates with the moving averages of the weights that the optimizer keeps, and trains on with the weights.

    The optimizer is one with `use_ema=True`. Place the callback before those that look at the weights.

    Args:
        swap_on_epoch: The averages are the model's weights from the end of an epoch, right after its validation, to the
            beginning of the next, so that a `ModelCheckpoint` behind this one saves them.

    Raises:
        ValueError: The optimizer keeps no averages.

    Example:
        >>> model = Sequential([Input((2,)), Dense(1)])
        >>> model.compile(SGD(0.1, use_ema=True), "mse")
        >>> data = np.ones((4, 2)), np.ones((4, 1))
        >>> history = model.fit(*data, epochs=2, verbose=0, validation_data=data, callbacks=[SwapEMAWeights()])

    Reference:
        As Keras 3's, which swaps the weights with the optimizer's averages. Here the weights are kept beside them, and
        a checkpoint knows of it.
    """

    swap_on_epoch: bool = False

    _kept = None  # leaves of the trained weights while the averages are in their place

    def state(self):
        return {"kept": None if self._kept is None else [np.asarray(a) for a in self._kept]}

    def restore(self, state):
        self._kept = state["kept"]

    def _trained(self):
        params, state = self.model.gather()
        return *tree.split(params, frozenset(self.model.trained_paths())), state

    def _put(self, trained, frozen, state):
        self.model.scatter(tree.join(trained, frozen), state)

    def _swap_in(self):
        optimizer = self.model.optimizer
        if self._kept is not None or optimizer.state is None:  # nothing was trained: there are no averages yet
            return
        trained, frozen, state = self._trained()
        averages = optimizer.finalize(optimizer.state, trained)
        if averages is trained:
            raise ValueError(
                f"SwapEMAWeights: the optimizer {optimizer.name!r} of {self.model.name!r} keeps no averages. Make it "
                f"with use_ema=True."
            )
        self._kept = jax.tree.leaves(trained)
        self._put(jax.tree.map(jnp.array, averages), frozen, state)  # copies: a step takes the memory of its arrays

    def _swap_out(self):
        if self._kept is None:
            return
        trained, frozen, state = self._trained()
        self._put(jax.tree.unflatten(jax.tree.structure(trained), map(jnp.asarray, self._kept)), frozen, state)
        self._kept = None

    def on_train_begin(self, logs=None):
        self._swap_out()  # a training before this one was interrupted

    def on_epoch_begin(self, epoch, logs=None):
        self._swap_out()

    def on_epoch_end(self, epoch, logs=None):
        if self.swap_on_epoch:
            self._swap_in()

    def on_train_end(self, logs=None):
        self._kept = None  # the averages are the weights now

    def on_test_begin(self, logs=None):
        self._swap_in()

    def on_test_end(self, logs=None):
        self._swap_out()

    def on_predict_begin(self, logs=None):
        self._swap_in()

    def on_predict_end(self, logs=None):
        self._swap_out()
