"""What every loss shares: reduction, sample weights, masks and row masks, written once.

A loss is a function of (y_true, y_pred) with one value per example. `Loss.total` gives (sum, count), so that
devices and padded batches are right together: loss = psum(sum) / psum(count).
"""

import inspect

import jax
import jax.numpy as jnp

from fkeras.compiled.rows import why_rows_meet
from fkeras.core import dtypes
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import Configured, Registry, choice, is_foreign, setting
from fkeras.core.tracing import untraceable
from fkeras.losses import targets
from fkeras.losses.arrays import same_rank

registry = Registry("loss", "keras.losses")
STANDARD = {}  # public function -> its class


class Reduction:
    """Keras 2's names of reductions: `Loss(reduction=Reduction.SUM)`."""

    AUTO = "auto"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"


def _reduction(value):
    allowed = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", "auto")
    value = choice(*allowed)("none" if value is None else value)
    return "sum_over_batch_size" if value == "auto" else value


def _dtype(value):
    return None if value is None else dtypes.policy(value).name


def ratio(total, count):
    """Returns total / count, or 0 where nothing was counted; `total` itself when `count` is None.

    Example:
        >>> float(ratio(jnp.float32(6.0), jnp.float32(4.0))), float(ratio(jnp.float32(0.0), jnp.float32(0.0)))
        (1.5, 0.0)
    """
    if count is None:
        return total
    return jnp.where(count == 0, 0.0, total / jnp.where(count == 0, 1.0, count))


class Loss(Configured):
    """Base class of losses; a loss of your own defines `call(self, y_true, y_pred)`.

        loss = sum(values * sample_weight) / count

    Args:
        name: Name shown in logs; the class name in snake case by default.
        reduction: "sum_over_batch_size" or "mean" divide by the number of values (those that mask and rows keep, not
            the sum of the weights), "mean_with_sample_weight" by the sum of the weights, "sum" not at all; "none" or
            None keeps one value per example. "auto" is Keras 2's name of the default.
        dtype: Dtype or policy both arrays are cast to first; the default is `floatx`.

    Example:
        >>> class Cubic(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return jnp.mean(jnp.abs(y_true - y_pred) ** 3, axis=-1)
        >>> float(Cubic()([[0.0], [0.0]], [[1.0], [2.0]]))
        4.5

    Reference:
        As Keras 3's `keras.losses.Loss`. A weight [B] always weighs rows; Keras 3 lets it broadcast from the right.
    """

    name: str = None
    reduction: str = setting(_reduction, "sum_over_batch_size")
    dtype: str = setting(_dtype, None)

    labels = False  # integer targets stay integers: they number classes
    joins_rows = False  # rows of a batch meet in it; `masked_values` then leaves padded rows out by itself

    def call(self, y_true, y_pred):
        """Returns the loss of each example; what a subclass writes."""
        raise NotImplementedError(f"{type(self).__name__} must define `call(self, y_true, y_pred)`.")

    def values(self, y_true, y_pred):
        """Returns one value per example: `call` on arrays cast to this loss's dtype.

        Raises:
            TypeError: `call` returned None, or branched on values in Python while it was compiled.
        """
        try:
            values = self.call(*self.prepare(y_true, y_pred))
        except Exception as err:
            if said := untraceable(err):
                raise TypeError(f"Loss {self.name!r}: {said}") from err
            raise
        if values is None:
            raise TypeError(f"Loss {self.name!r}: it returned None; expected one value per example. Does it `return`?")
        return values

    def masked_values(self, y_true, y_pred, rows=None):
        """Returns (values, keep): `keep` is bool, broadcasts to `values`, and is None when all of them count.

        A loss overrides this when it drops elements by itself (`ignore_class`) or lets rows of a batch meet (`dice`).
        """
        values = jnp.asarray(self.values(y_true, y_pred))
        return values, self.row_mask(values, rows)

    def prepare(self, y_true, y_pred):
        """Returns both as arrays (or trees of arrays) in this loss's dtype."""
        dtype = dtypes.policy(self.dtype).compute_dtype if self.dtype else dtypes.floatx()

        def target(y):
            y = jnp.asarray(y)
            return y if self.labels and jnp.issubdtype(y.dtype, jnp.integer) else y.astype(dtype)

        return jax.tree.map(target, _arrays(y_true)), jax.tree.map(
            lambda y: jnp.asarray(y).astype(dtype), _arrays(y_pred)
        )

    def row_mask(self, values, rows):
        """Returns `rows` [B] shaped to broadcast over `values` [B, ...], or None.

        Raises:
            ValueError: `values` has no batch axis, so that padded rows cannot be left out.
        """
        if rows is None:
            return None
        rows = jnp.asarray(rows)
        if values.ndim == 0 or values.shape[0] != rows.shape[0]:
            raise ValueError(
                f"Loss {self.name!r}: expected one value per example, shape ({rows.shape[0]}, ...), because a row mask "
                f"says which rows are padding, got values of shape {values.shape}. Do not reduce the batch axis in the "
                f"loss, or give no row mask (see `per_row`)."
            )
        return rows.astype(bool).reshape(-1, *[1] * (values.ndim - 1))

    def rows_meet(self, y_true, y_pred):
        """Returns why padded rows cannot be left out of the loss ("sums over the rows"), or None where they can.

        Args:
            y_true, y_pred: Arrays or `jax.ShapeDtypeStruct`s (or trees of them), batch axis first. Nothing is computed.

        Example:
            >>> y = jax.ShapeDtypeStruct((8, 3), "float32")
            >>> as_loss("mse").rows_meet(y, y)
            >>> as_loss(lambda t, p: abs(t - p).mean()).rows_meet(y, y) is None
            False
        """
        if self.joins_rows:  # it masks rows by itself
            return None
        return why_rows_meet(self.values, y_true, y_pred, known=not is_foreign(type(self), getattr(self, "fn", None)))

    def per_row(self, y_true, y_pred):
        """Tells whether `rows` can be honoured: a value depends on its own row, or the loss masks rows by itself."""
        return self.rows_meet(y_true, y_pred) is None

    def sees_batch(self, y_true, y_pred):
        """Tells whether the loss needs the rows of the whole batch, so that devices cannot each take their share."""
        return self.joins_rows or not self.per_row(y_true, y_pred)

    def total(self, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        """Returns (sum, count), float32 scalars with loss = sum / count; what a training step adds up over devices.

        Args:
            y_true, y_pred: Targets and predictions [B, ...].
            sample_weight: None, or [B], [B, 1], or the shape of the values (as [B, T] for temporal data).
            mask: None, or bool in one of these shapes: the elements that count.
            rows: None, or bool [B]: the rows that are real. The numbers are those of the batch without the other rows.

        Returns:
            `count` is None when the reduction is "sum". Both are 0 when nothing is kept.

        Raises:
            ValueError: The reduction is "none"; weights or mask do not fit the values; or there are rows to leave out
                and the loss has no value per row.
        """
        if self.reduction == "none":
            raise ValueError(
                f"Loss {self.name!r}: reduction 'none' gives one value per example, and training needs a single "
                f"number. Use 'sum_over_batch_size' or 'sum'."
            )
        weighted, weight, keep = self._weighted(y_true, y_pred, sample_weight, mask, rows)
        if weighted.ndim == 0:  # one value for the whole batch: it stands for all rows
            count = jnp.ones((), weighted.dtype) if rows is None else jnp.sum(rows, dtype=weighted.dtype)
            return (weighted, None) if self.reduction == "sum" else (weighted * count, count)
        total = jnp.sum(weighted)
        if self.reduction == "sum":
            return total, None
        if self.reduction == "mean_with_sample_weight" and weight is not None:
            if jnp.ndim(sample_weight) == 1:  # of a row, for all its values; Keras counts [B, 1] once, and takes no [B]
                weight = jnp.broadcast_to(weight, weighted.shape)
            return total, jnp.sum(weight if keep is None else jnp.where(keep, weight, 0.0))
        if keep is None:
            return total, jnp.full((), weighted.size, weighted.dtype)
        return total, jnp.sum(jnp.broadcast_to(keep, weighted.shape), dtype=weighted.dtype)

    def __call__(self, y_true, y_pred, sample_weight=None, *, mask=None, rows=None):
        """Returns the loss of a batch: a scalar, or the weighted values for reduction "none"."""
        dtype = dtypes.policy(self.dtype).compute_dtype if self.dtype else dtypes.floatx()
        if self.reduction == "none":
            return self._weighted(y_true, y_pred, sample_weight, mask, rows)[0].astype(dtype)
        return ratio(*self.total(y_true, y_pred, sample_weight, mask, rows)).astype(dtype)

    def _weighted(self, y_true, y_pred, sample_weight, mask, rows):
        """Returns (values * weight, 0 where not kept), the weight or None, and keep or None."""
        values, keep = self.masked_values(y_true, y_pred, rows)
        values = values.astype(at_least_float32(values.dtype))
        weight = None if sample_weight is None else jnp.asarray(sample_weight).astype(values.dtype)
        mask = None if mask is None else jnp.asarray(mask).astype(bool)
        over = next((x for x in (mask, weight) if x is not None and x.ndim), None)
        if values.ndim == 0 and over is not None:  # one value for the whole batch, weighed row by row
            values = jnp.broadcast_to(values, over.shape)
            keep = self.row_mask(values, rows)
        if mask is not None:
            mask = self._aligned(mask, values, "mask")
            keep = mask if keep is None else keep & mask
        if weight is not None:
            weight = self._aligned(weight, values, "sample_weight")
        weighted = values if weight is None else values * weight
        return (weighted if keep is None else jnp.where(keep, weighted, 0.0)), weight, keep

    def _aligned(self, x, values, what):
        """Returns `x` with axes of size 1 added on the right, so that [B] weighs rows of [B, T]."""
        shape = x.shape[:-1] if x.ndim == values.ndim + 1 and x.shape[-1] == 1 else x.shape
        if not shape:
            return jnp.broadcast_to(x.reshape(()), values.shape)
        wide = shape + (1,) * (values.ndim - len(shape))
        if len(wide) != values.ndim or any(w not in (1, v) for w, v in zip(wide, values.shape, strict=True)):
            hint = " Give the targets a last axis of size 1 to keep time steps apart." if x.ndim > values.ndim else ""
            raise ValueError(
                f"Loss {self.name!r}: {what} of shape {x.shape} does not fit the values of the loss, shape "
                f"{values.shape}: expected {values.shape[:1]} for one per row, or {values.shape} for one per value."
                f"{hint}"
            )
        return x.reshape(wide)

    def check_targets(self, y_true, y_pred_shape):
        """Looks at all targets on the host before training. A loss of one's own may take any."""

    def get_config(self):
        """Returns the settings in Keras's form; `dtype` only when it was set."""
        config = super().get_config()
        if config.get("dtype") is None:
            config.pop("dtype", None)
        return config


def _arrays(tree):
    """Python lists of numbers are arrays, as in Keras; lists and dicts of arrays are trees."""
    leaves = jax.tree.leaves(tree)
    return jnp.asarray(tree) if all(isinstance(x, (bool, int, float)) for x in leaves) and leaves else tree


class Standard(Loss):
    """A loss that is one public function; its own settings are the function's arguments."""

    reduction: str = setting(_reduction, "sum_over_batch_size")
    name: str = None
    dtype: str = setting(_dtype, None)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if function := cls.__dict__.get("function"):
            STANDARD[getattr(function, "__func__", function)] = cls

    def options(self):
        """Returns the settings that the function takes."""
        return {n: getattr(self, n) for n in self._fields if n not in ("reduction", "name", "dtype")}

    def call(self, y_true, y_pred):
        return self.function(*same_rank(y_true, y_pred), **self.options())

    def check_targets(self, y_true, y_pred_shape):
        targets.same_shape(self, y_true, y_pred_shape)


@registry.register("LossFunctionWrapper")
class FunctionLoss(Loss):
    """A loss made of a plain function f(y_true, y_pred), which returns [B], [B, ...] or a scalar.

    Args:
        fn: The function, or the name of one.
        reduction, name, dtype: As in `Loss`; the name is the function's by default.

    Example:
        >>> def absolute(y_true, y_pred):
        ...     return abs(y_true - y_pred)
        >>> loss = FunctionLoss(absolute)
        >>> loss.name, float(loss([1.0, 2.0], [0.0, 0.0]))
        ('absolute', 1.5)

    Reference:
        Keras's `LossFunctionWrapper`, under which name configs are read as well.
    """

    fn: object = setting(registry)
    reduction: str = setting(_reduction, "sum_over_batch_size")
    name: str = None
    dtype: str = setting(_dtype, None)

    def check(self):
        if self.name == self.default_name():
            inner = getattr(self.fn, "func", self.fn)  # a functools.partial goes by its function's name
            name = getattr(inner, "name", None) or getattr(inner, "__name__", type(inner).__name__)
            self.name = name.strip("<>")

    def call(self, y_true, y_pred):
        if jax.tree.structure(y_true) == jax.tree.structure(y_pred):
            true, form = jax.tree.flatten(y_true)
            pairs = [same_rank(t, p) for t, p in zip(true, jax.tree.leaves(y_pred), strict=True)]
            y_true, y_pred = (jax.tree.unflatten(form, [pair[i] for pair in pairs]) for i in (0, 1))
        return self.fn(y_true, y_pred)

    def get_config(self):
        config = super().get_config()
        if isinstance(fn := config["fn"], str):
            config["fn"] = {
                "module": "builtins",
                "class_name": "function",
                "config": fn,
                "registered_name": "function",
            }
        return config


def as_loss(obj):
    """Returns the `Loss` that a name, a function, a class, a config dict or an object stands for; None stays None.

    Args:
        obj: "mse", "MeanSquaredError", f(y_true, y_pred), a `Loss` class or object. Functions of this package become
            their classes, so that masks and padded rows are honoured.

    Example:
        >>> as_loss("mse")
        MeanSquaredError(name='mse')
    """
    found = registry.get(obj)
    if found is None or isinstance(found, Loss):
        return found
    name = obj if isinstance(obj, str) else None
    if inspect.isfunction(found) and (cls := STANDARD.get(found)):
        return cls(name=name or found.__name__)
    return FunctionLoss(found, name=name)


def check_targets(loss, y_true, y_pred_shape):
    """Looks at all targets on the host, once, before training: shapes, class numbers, one-hot or not.

    Args:
        loss: Anything `as_loss` takes.
        y_true: The targets [N, ...], a NumPy array (or anything NumPy reads).
        y_pred_shape: Shape of the prediction, batch axis first; the batch size itself is not looked at.

    Raises:
        ValueError: The targets do not fit the loss; the message names the loss that they fit.
        TypeError: The targets are not numbers.

    Example:
        >>> check_targets("sparse_categorical_crossentropy", [0, 3], (None, 3))
        Traceback (most recent call last):
        ValueError: Loss 'sparse_categorical_crossentropy': expected class numbers from 0 to 2 ...
    """
    loss = as_loss(loss)
    if loss is None or isinstance(y_true, dict) or not targets.is_shape(y_pred_shape):
        return
    loss.check_targets(targets.numbers(loss, y_true), tuple(y_pred_shape))
