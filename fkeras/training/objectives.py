"""What `compile` was given, resolved: one `Objective` per output of the model."""

import jax

from fkeras import losses as losses_lib
from fkeras import metrics as metrics_lib
from fkeras.core.settings import nearest
from fkeras.training.step import Objective


def looks_like_metrics(value):
    """True for ["accuracy"], {"out": ["mae"]}: names or functions, which loss weights never are."""
    if isinstance(value, dict):
        return any(looks_like_metrics(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(isinstance(v, str) or callable(v) or looks_like_metrics(v) for v in value)
    return isinstance(value, str) or callable(value)


def resolve_losses(loss):
    """Resolves names at compile's door, keeping lists and dicts."""
    if loss is None:
        return None
    if isinstance(loss, dict) and "class_name" not in loss:
        return {k: resolve_losses(v) for k, v in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [resolve_losses(v) for v in loss]
    return losses_lib.as_loss(loss)


def resolve_metrics(spec, name):
    """Refuses unknown names at compile's door; what depends on shapes is resolved at the first data."""
    if spec is None:
        return None
    if isinstance(spec, dict) and "class_name" not in spec:
        return {k: resolve_metrics(v, name) for k, v in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [resolve_metrics(v, name) for v in spec]
    if isinstance(spec, str) and spec.lower() not in ("accuracy", "acc", "crossentropy", "ce"):
        metrics_lib.get(spec)
    return spec


def spread(spec, names, what, many):
    """Spreads what compile was given over the outputs: one for all, a list in order, or a dict by name."""
    n = len(names)
    if spec is None:
        return [None] * n
    if isinstance(spec, dict):
        unknown = [k for k in spec if k not in names]
        if unknown:
            raise ValueError(
                f"compile({what}=...): no output is called {unknown[0]!r}.{nearest(unknown[0], names)} "
                f"Outputs: {', '.join(names)}."
            )
        return [spec.get(name) for name in names]
    if isinstance(spec, (list, tuple)):
        if many and n == 1 and not any(isinstance(v, (list, tuple)) for v in spec):
            return [list(spec)]
        if len(spec) != n:
            raise ValueError(
                f"compile({what}=...): expected {n} entries, one per output ({', '.join(names)}), got {len(spec)}."
            )
        return list(spec)
    return [spec] * n


def _alone(loss):
    """Returns the loss of an output, which may stand in a list of its own: {"a": ["mse"]}."""
    if isinstance(loss, (list, tuple)):
        if len(loss) != 1:
            raise ValueError(f"compile(loss=...): expected one loss for an output, got {len(loss)}: {loss}.")
        return loss[0]
    return loss


def _unique(label, taken):
    """Returns "mse", then "mse_1", "mse_2", ...; counts it in `taken`."""
    n = taken[label] = taken.get(label, 0) + 1
    return label if n == 1 else f"{label}_{n - 1}"


def sums(loss):
    """Tells whether a loss adds its values up: one for a whole batch then counts once, or as often as it is weighed."""
    return loss is not None and loss.reduction == "sum"


def make_objectives(model, columns):
    """Returns the list of `Objective`s of a compiled model for data like `columns`."""
    compiled, names = model._compiled, model.output_names
    preds = [tuple(s.shape) for s in jax.tree.leaves(model.output_specs())]
    losses = [_alone(loss) for loss in spread(compiled["loss"], names, "loss", False)]
    weights = spread(compiled["loss_weights"], names, "loss_weights", False)
    plain = spread(compiled["metrics"], names, "metrics", True)
    weighted = spread(compiled["weighted_metrics"], names, "weighted_metrics", True)
    objectives = []
    for i, name in enumerate(names):
        y_shape = (
            (None, *columns.y[i].shape[1:]) if columns.y and i < len(columns.y) and columns.y[i] is not None else None
        )
        taken, found = {"loss": 1}, []
        for specs, use_weights in ((plain[i], False), (weighted[i], True)):
            specs = specs if isinstance(specs, (list, tuple)) else [specs]
            for spec in specs:
                if spec is None:
                    continue
                metric = metrics_lib.resolve(spec, losses[i], y_shape, preds[i])
                head = "" if len(names) == 1 else f"{name}_"
                label = f"{head}{metric.name}"
                if use_weights and label in taken:
                    label = f"{head}weighted_{metric.name}"
                found.append((_unique(label, taken), metric, use_weights))
        several = sum(loss is not None for loss in losses) > 1
        loss_name = f"{name}_loss" if several and losses[i] is not None else None
        factor, given = 1.0 if weights[i] is None else float(weights[i]), columns.w is not None
        objectives.append(Objective(losses[i], factor, loss_name, tuple(found), given or not sums(losses[i])))
    return objectives
