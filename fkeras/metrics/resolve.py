"""What `compile(metrics=[...])` means: "accuracy" of a fitting kind, names, classes, objects, plain functions."""

from fkeras.core.settings import snake_case
from fkeras.metrics.accuracy import BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy
from fkeras.metrics.base import Metric, functions, registry
from fkeras.metrics.probabilistic import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy
from fkeras.metrics.reduction import MeanMetricWrapper

_KINDS = {
    "accuracy": {"binary": BinaryAccuracy, "sparse": SparseCategoricalAccuracy, "one_hot": CategoricalAccuracy},
    "crossentropy": {
        "binary": BinaryCrossentropy,
        "sparse": SparseCategoricalCrossentropy,
        "one_hot": CategoricalCrossentropy,
    },
}
_KINDS |= {"acc": _KINDS["accuracy"], "ce": _KINDS["crossentropy"]}


def get(identifier):
    """Returns the metric that a name, config dict or class stands for; objects and functions are returned as they are.

    Example:
        >>> get("mse").name, get({"class_name": "AUC", "config": {"curve": "PR"}}).curve
        ('mean_squared_error', 'PR')
    """
    if isinstance(identifier, str) and registry.find(identifier) is None and (found := functions.find(identifier)):
        return found
    return registry.get(identifier)


def label_kind(y_true_shape, y_pred_shape):
    """Returns "binary", "sparse" or "one_hot": what labels these shapes speak of.

    Binary where the prediction's last axis has size 1 (or it has no axis but the batch); sparse where labels lack the
    prediction's last axis, or have size 1 there.

    Example:
        >>> label_kind((8,), (8, 1)), label_kind((8, 1), (8, 10)), label_kind((8, 10), (8, 10))
        ('binary', 'sparse', 'one_hot')
    """
    if len(y_pred_shape) < 2 or y_pred_shape[-1] == 1:
        return "binary"
    return "sparse" if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1 else "one_hot"


def resolve(spec, loss=None, y_true_shape=None, y_pred_shape=None):
    """Returns the `Metric` that one entry of `compile(metrics=...)` means.

    Args:
        spec: "accuracy", "acc", "crossentropy" or "ce" (the kind follows from the shapes), any other name, a config
            dict, a metric, a metric class, or a function f(y_true, y_pred). A name that was typed is the metric's name.
        loss: The output's loss. With `from_logits`, "crossentropy" takes the predictions as logits too.
        y_true_shape, y_pred_shape: Shapes with the batch axis first.

    Raises:
        ValueError: No such name, or shapes are missing where they decide.
        TypeError: Not something that a metric can be made of.

    Example:
        >>> type(resolve("acc", None, (8,), (8, 10))).__name__
        'SparseCategoricalAccuracy'

    Reference:
        As Keras 3, where "accuracy" follows from shapes alone. "crossentropy" is Keras 2's.
    """
    if spec is None:
        raise ValueError("A metric is None: expected a name, a metric, a class or a function f(y_true, y_pred).")
    if isinstance(spec, str) and spec.lower() in _KINDS:
        if y_true_shape is None or y_pred_shape is None:
            raise ValueError(f"Metric {spec!r}: its kind follows from the shapes of y_true and y_pred; give both.")
        kind = _KINDS[spec.lower()][label_kind(y_true_shape, y_pred_shape)]
        logits = {"from_logits": True} if "from_logits" in kind._fields and getattr(loss, "from_logits", False) else {}
        return kind(name=spec, **logits)
    metric = get(spec)
    if not isinstance(metric, Metric):
        named = spec if isinstance(spec, str) else None
        name = named or getattr(metric, "name", None) or snake_case(getattr(metric, "__name__", type(metric).__name__))
        return MeanMetricWrapper(metric, name=name)
    if isinstance(spec, str):
        object.__setattr__(metric, "name", spec)  # just made of that name, nobody else holds it
    return metric
