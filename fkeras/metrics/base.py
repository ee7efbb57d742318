"""The contract of a metric: a monoid. `init` gives its zero, `update` adds a batch, `merge` adds two states, `result`
reads one. So epochs, validation, devices and padded batches are right together.

    class Largest(Metric):
        def init(self, y_true_shape=None, y_pred_shape=None):
            return {"largest": jnp.float32(0)}

        def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
            return {"largest": jnp.maximum(state["largest"], jnp.max(jnp.abs(zero_rows(rows, y_pred))))}

        def merge(self, a, b):
            return {"largest": jnp.maximum(a["largest"], b["largest"])}

        def result(self, state):
            return state["largest"]

The Keras way (`add_weight` in `__init__`, an `update_state` that assigns, `result(self)`) works too: `variables.py`.
"""

import contextlib
import copy
import functools
import inspect

import jax
import jax.numpy as jnp

from fkeras.core.dtypes import cast_floats, floatx, policy
from fkeras.core.settings import Configured, Registry, setting
from fkeras.core.tree import flatten, unflatten
from fkeras.metrics import variables

registry = Registry("metric", "keras.metrics")  # names of metrics, and their classes
WHOLE = "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"
functions = Registry("metric function", "keras.metrics")  # per-example functions, which a wrapper may be made of


def dtype_name(value):
    """Converter: the name of a dtype, or the compute dtype of a policy; None is `floatx`."""
    if isinstance(value, str) and value in WHOLE:
        return value
    return floatx() if value is None else policy(value).compute_dtype


def _with_own_state(result):
    """Makes `result(self, state)`, or Keras's `result(self)`, callable both with a state and without."""
    takes_state = "state" in inspect.signature(result).parameters

    @functools.wraps(result)
    def read(self, state=None):
        if not takes_state:
            return result(self) if state is None else variables.bound(self, state, result)[0]
        value = result(self, self.state if state is None else state)
        return cast_floats(value, self.dtype) if self.dtype in ("float16", "bfloat16") else value

    return read


class Metric(Configured):
    """Base of all metrics.

    Args:
        name: Key in logs and in the history.
        dtype: Half precision rounds the result to it. Sums and statistics are kept in float32 whatever it is, also
            where Keras counts in whole numbers ("int32").
    """

    name: str = None
    dtype: str = setting(dtype_name, None)

    direction = None  # "up" or "down": which way is better, where that is known (callbacks in mode "auto")
    compiles = True  # whether `update` may be compiled by itself, for `update_state`
    keras_style = False  # whether `update` is made from `update_state`; set by `variables.lift`
    _state = _compiled = None  # the facade's own state and its compiled update; None until they are needed
    _declared: dict = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "update_state" in vars(cls) and "update" not in vars(cls):
            variables.lift(cls)
        if "result" in vars(cls):
            cls.result = _with_own_state(vars(cls)["result"])

    def init(self, y_true_shape=None, y_pred_shape=None):
        """Returns the state of an empty stream: a dict of float32 arrays.

        Args:
            y_true_shape, y_pred_shape: Shapes with the batch axis first. Needed only by metrics that keep a number per
                class or output and were not told how many in their settings.
        """
        return {}

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        """Returns `state` with one batch added. Pure, and compiles under `jax.jit`.

        Args:
            state: What `init` or an earlier `update` returned.
            y_true, y_pred: Arrays, batch axis first.
            sample_weight: Scalar, or array whose axes are the leading axes of `y_pred`.
            mask: Bool array shaped as a `sample_weight` may be, or None. What is False weighs nothing.
            rows: Bool [B] or None. Where it is False the row is padding: the result is that of the batch without it.
        """
        raise TypeError(
            f"Metric {type(self).__name__} cannot take a batch: it defines neither "
            f"`update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None)` (pure) "
            f"nor `update_state(self, y_true, y_pred, sample_weight=None)` (as in Keras)."
        )

    def merge(self, a, b):
        """Returns the state of two streams joined. Here, and for all that count and sum, `a + b`."""
        return jax.tree.map(jnp.add, a, b)

    @_with_own_state
    def result(self, state):
        """Returns the metric of `state`; without one, of the metric's own state."""
        raise TypeError(f"Metric {type(self).__name__} has no result: define `result(self, state)` or `result(self)`.")

    def rows_meet(self, y_true, y_pred):
        """Returns why `update` cannot leave out padded rows of arguments like these (arrays or shapes), or None.

        It cannot for a function that makes one number of a whole batch, or values that depend on several rows, nor for
        a Keras-style `update_state` without a `rows` parameter: give those the real rows only, and no `rows`.
        """
        return None

    def per_row(self, y_true, y_pred):
        """Returns whether `update` can leave out padded rows of arguments like these."""
        return self.rows_meet(y_true, y_pred) is None

    # ------------------------------------------------------------------------------------ the facade

    @property
    def state(self):
        """The metric's own state. Assigning replaces it."""
        return variables.read(self)

    @state.setter
    def state(self, state):
        variables.write(self, state)

    @property
    def variables(self):
        """The arrays of the metric's own state, as Keras's variables."""
        own = [variables.Variable(self, name) for name in variables.read(self) if name in self._state]
        return own + [v for part in variables.inner(self).values() for v in part.variables]

    def __getattr__(self, name):
        """The arrays of the metric's own state by their names: `precision.true_positives`, as in Keras."""
        if not name.startswith("_"):
            state = self._state
            if state is None:
                with contextlib.suppress(Exception):  # what needs the shapes of data has no arrays yet
                    state = self.init()
            if name in (state or ()):
                return variables.Variable(self, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def update_state(self, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        """Adds one batch to the metric's own state."""
        self._advance(y_true, y_pred, sample_weight=sample_weight, mask=mask, rows=rows)

    def _advance(self, *batch, **extra):
        batch = [jnp.asarray(a) for a in batch]
        extra = {name: jnp.asarray(a) for name, a in extra.items() if a is not None}
        if self._state is None:
            variables.start(self, *(a.shape for a in batch))
        if self._compiled is None:
            update = functools.partial(variables.pure(type(self), "update"), self)
            # Operation by operation, a first AUC would compile 43 programs: 2 s in place of 0.4 s.
            self._compiled = jax.jit(update) if self.compiles else update
        self._state = self._state | self._compiled(self._state, *batch, **extra)

    def reset_state(self):
        """Forgets what the metric's own state has seen."""
        variables.reset(self)

    def reset_states(self):
        """Keras 2's name of `reset_state`."""
        self.reset_state()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def add_variable(self, shape=(), initializer=None, dtype=None, name=None):
        """Declares one array of the state of a Keras-style metric and returns it as a variable; zeros by default."""
        return variables.declare(self, shape, initializer, dtype or "float32", name)

    def add_weight(self, shape=(), initializer=None, dtype=None, name=None):
        """As `add_variable`; Keras 2's order, the name first, is understood."""
        if isinstance(shape, str):
            shape, name = (), shape
        return self.add_variable(shape, initializer, dtype, name)

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_compiled"}

    def __copy__(self):
        """A deep copy, as in Keras: variables that the metric holds belong to it."""
        return copy.deepcopy(self)

    # -------------------------------------------------------------- Keras 3's stateless words, over lists

    def _as_state(self, metric_variables):
        paths = list(flatten(self.state))
        if len(paths) != len(metric_variables):
            raise ValueError(f"Metric {self.name!r}: expected {len(paths)} arrays, got {len(metric_variables)}.")
        return unflatten(dict(zip(paths, map(jnp.asarray, metric_variables), strict=True))), paths

    def stateless_update_state(self, metric_variables, *args, **kwargs):
        """Returns the list `metric_variables`, ordered as `variables`, with one batch added. Pure."""
        state, paths = self._as_state(metric_variables)
        new = flatten(self.update(state, *args, **kwargs))
        return [new[path] for path in paths]

    def stateless_result(self, metric_variables):
        """Returns the metric of the list `metric_variables`, ordered as `variables`. Pure."""
        return self.result(self._as_state(metric_variables)[0])

    def stateless_reset_state(self):
        """Returns the list of arrays that an empty stream has."""
        return list(flatten(self.init()).values())


# --------------------------------------------------------------------- weights, masks and padded rows


def weigh(shape, sample_weight=None, mask=None, rows=None):
    """Returns the product of weights, mask and rows as float32, its axes the leading axes of `shape`; or None.

    Args:
        shape: Shape of the values to be weighed.
        sample_weight, mask, rows: See `Metric.update`.

    Returns:
        Array of rank at most `len(shape)` that broadcasts from the left, or None where all three are None.

    Raises:
        ValueError: The weights have axes that the values lack.

    Example:
        >>> weigh((2, 3), jnp.array([1.0, 2.0]), mask=jnp.array([[True, False, True], [True, True, True]])).tolist()
        [[1.0, 0.0, 1.0], [2.0, 2.0, 2.0]]
    """
    parts = [_fitting(jnp.asarray(p, jnp.float32), shape) for p in (sample_weight, mask, rows) if p is not None]
    if not parts:
        return None
    rank = max(part.ndim for part in parts)
    # A padded row's weight may be anything, also inf or nan.
    return zero_rows(rows, functools.reduce(jnp.multiply, [leading(part, rank) for part in parts]))


def _fitting(weights, shape):
    """Returns `weights` without surplus last axes of size 1, its axes those of the values or 1."""
    while weights.ndim > len(shape) and weights.shape[-1] == 1:
        weights = weights[..., 0]
    if weights.ndim > len(shape) or any(w not in (1, s) for w, s in zip(weights.shape, shape, strict=False)):
        raise ValueError(
            f"Weights of shape {weights.shape} do not fit values of shape {tuple(shape)}: expected the leading axes "
            f"of the values, for one weight a row ({shape[0] if shape else ''},)."
        )
    return weights


def leading(weights, rank):
    """Returns `weights` with axes of size 1 appended up to `rank`, so that it broadcasts from the left."""
    return weights.reshape(weights.shape + (1,) * (rank - weights.ndim))


def zero_rows(rows, array):
    """Returns `array` with the padded rows set to zero, whatever they held; all of it where `rows` is None."""
    return array if rows is None else jnp.where(leading(jnp.asarray(rows, bool), array.ndim), array, 0)
