"""What `compile` was given, between a model and the training_config of Keras's files; and the optimizer's arrays."""

import inspect
import warnings

import numpy as np

from fkeras import losses, metrics, optim, tree
from fkeras.saving import files
from fkeras.saving.configs import clean
from fkeras.saving.order import trained_paths, weights_by_path
from fkeras.settings import custom_object_scope, get_registered_name, serialize

_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")  # their meaning follows from the data: they stay names


# -------------------------------------------------------------------------------------------- writing


def training_config(model):
    """Returns Keras's training_config of a compiled model.

    Short names are written whole ("mse" as "mean_squared_error"): Keras 3 cannot read the short ones back.
    """
    given = compile_config(model)
    given.pop("optimizer", None)
    given["loss"] = _write(given.get("loss"), losses.registry, ())
    for kind in ("metrics", "weighted_metrics"):
        given[kind] = _write(given.get(kind), None, _BY_SHAPE)
    optimizer = model.optimizer
    name = get_registered_name(type(optimizer)) if optim.optimizers.name_of(type(optimizer)) is None else None
    about = {"class_name": name or type(optimizer).__name__, "config": serialize(optimizer)["config"]}
    return {**given, "optimizer_config": about}


def compile_config(model):
    """Returns what `compile` was given, as Keras 3 writes it: a number of steps where it is chosen by time here."""
    given = model.get_compile_config()
    return given | {"steps_per_execution": given.get("steps_per_execution") or 1}


def _write(spec, family, kept):
    if isinstance(spec, str):
        return spec if family is None or spec.lower() in kept else _whole_name(spec, family)
    if isinstance(spec, dict) and "class_name" in spec:
        name = spec.get("registered_name") or spec["class_name"]
        return {"class_name": name, "config": spec["config"]}
    if isinstance(spec, dict):
        return {k: _write(v, family, kept) for k, v in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [_write(v, family, kept) for v in spec]
    return spec


def _whole_name(name, family):
    """Returns the name of the function that a name stands for, whichever of its names it is."""
    entry = (metrics.functions.find(name) if family is metrics.registry else None) or family.find(name)
    if inspect.isclass(entry) and issubclass(entry, losses.Standard):
        return getattr(entry.fn, "__name__", name)
    if inspect.isclass(entry) or entry is None:
        return name
    return getattr(entry, "__name__", name)


# -------------------------------------------------------------------------------------------- reading


def compile_from(model, config, where, custom_objects=None):
    """Compiles a model as a training_config of Keras (or a compile_config of its JSON) says.

    Raises:
        ValueError: A name or a setting in it is not known; the message names `where`.
    """
    with custom_object_scope(custom_objects or {}):
        part = "optimizer"
        try:
            arguments = {"optimizer": optim.get(_plain(config.get("optimizer_config") or config.get("optimizer")))}
            part = "loss"
            arguments["loss"] = _read(config.get("loss"), losses.get, ())
            for part in ("metrics", "weighted_metrics"):
                plain = _without_outputs(config.get(part), model.output_names or [])
                arguments[part] = _read(plain, metrics.get, _BY_SHAPE)
            part = "loss_weights"
            arguments[part] = config.get(part)
            part = "compile"
            if (config.get("steps_per_execution") or 1) != 1:
                arguments["steps_per_execution"] = config["steps_per_execution"]
            if config.get("run_eagerly"):
                arguments["run_eagerly"] = True
            if config.get("jit_compile") is False:
                arguments["jit_compile"] = False
            model.compile(**arguments)
        except (ValueError, TypeError, KeyError, AttributeError) as err:
            raise ValueError(
                f"Cannot read {where}, the part {part!r}: {err} Load with compile=False and call compile() yourself, "
                f"or name what is missing in custom_objects."
            ) from err


def _plain(config):
    config = clean(config)
    if isinstance(config, dict) and "class_name" not in config:
        raise ValueError(f"expected a name or a config with 'class_name', got {config!r}.")
    return config


def _read(spec, get, kept):
    """Turns dicts that describe one object into it; names stay names, and lists and dicts keep their form."""
    if isinstance(spec, dict) and "class_name" in spec:
        name, config = spec["class_name"], spec.get("config")
        if name in ("function", "__function__"):
            return _read(config, get, kept)
        if name in ("MeanMetricWrapper", "LossFunctionWrapper") and isinstance(config, dict):
            return _wrapped(config, get)
        return get(clean(spec))
    if isinstance(spec, dict):
        return {k: _read(v, get, kept) for k, v in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [_read(v, get, kept) for v in spec]
    if isinstance(spec, str) and spec.lower() not in kept:
        found = get(spec)  # an unknown name is refused here, before the model is handed out
        return found if callable(found) and not _is_ours(found) else spec
    return spec


def _is_ours(found):
    return getattr(found, "__module__", type(found).__module__).startswith("fkeras.")


def _without_outputs(spec, names):
    """Takes the output's name off the names of wrapped metrics, where Keras 2 put it: it is put there again."""
    if isinstance(spec, dict) and spec.get("class_name") == "MeanMetricWrapper":
        config = dict(spec.get("config") or {})
        for name in names if len(names) > 1 else ():
            config["name"] = str(config.get("name")).removeprefix(f"{name}_")
        return spec | {"config": config}
    if isinstance(spec, dict) and "class_name" not in spec:
        return {k: _without_outputs(v, names) for k, v in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [_without_outputs(v, names) for v in spec]
    return spec


def _wrapped(config, get):
    """Keras 2 wrote accuracy as a wrapper of the function it had found by shapes, under the name that was given."""
    function, name = config.get("fn"), config.get("name")
    if isinstance(function, dict):
        function = function.get("config")
    if not isinstance(function, str):
        raise ValueError(f"{name!r} wraps a function of the user's own, which the file does not name: {function!r}.")
    if name in _BY_SHAPE:
        return name
    if get is losses.get:
        kwargs = {k: v for k, v in config.items() if k not in ("fn", "reduction", "name", "dtype")}
        cls = losses.base.STANDARD.get(get(function))
        return cls(name=name, **kwargs) if cls and kwargs else function
    return metrics.MeanMetricWrapper(get(function), name=name)


# ---------------------------------------------------------------------------------- the optimizer's arrays


def optimizer_arrays(model):
    """Returns [(name, array)] of the optimizer's state in the order of Keras's variables; empty before training."""
    optimizer = model.optimizer
    if optimizer is None or optimizer.state is None:
        return []
    paths = trained_paths(model)
    trained = {p: a for p, a in tree.flatten(model.gather()[0]).items() if p in set(paths)}
    state = optimizer.extend(optimizer.state, tree.unflatten(trained))  # of a layer unfrozen since the last step
    names = [name for name, _ in optimizer.variables_layout(paths, state)]
    return list(zip([f"{optimizer.name}/{n}" for n in names], optimizer.to_arrays(paths, state), strict=True))


def optimizer_state(model, data, names, where, arrays=()):
    """Returns the optimizer's state with the arrays of a file in it, or None where they are of another optimizer.

    Args:
        data: The file's datasets, in its order. They are read only when all shapes fit.
        names: Their names, or None.
        where: Names the file and the part in the warning.
        arrays: [(variable, array)] that are going to be stored in the model.
    """
    data = _in_pairs(data, names or [])
    shapes = [tuple(d.shape) for d in data]
    optimizer, paths, arrays = model.optimizer, trained_paths(model), dict(arrays)
    variables = {path: v for path, _, v in weights_by_path(model)}
    leaves = {p: arrays[v] if (v := variables[p]) in arrays else v.value for p in paths}
    state = optimizer.init(tree.unflatten(leaves))
    layout = optimizer.variables_layout(paths, state)
    wanted = [np.shape(optim.base.at(state, path)) for _, path in layout]
    scalars = sum(path in (("iterations",), ("learning_rate",)) for _, path in layout)
    if shapes == [()] * scalars and len(shapes) < len(wanted):
        return None  # Keras saved an optimizer that had not made a step
    added = {}
    if scalars == 2 and len(shapes) == len(wanted) - 1 and layout[1][1] == ("learning_rate",):
        added, shapes = {1: np.float32(optimizer.learning_rate)}, [*shapes[:1], (), *shapes[1:]]  # Keras 2's lack it
        data = [*data[:1], None, *data[1:]]
    if shapes != wanted:
        warnings.warn(
            f"{where}: the optimizer's {len(shapes)} arrays do not fit {type(optimizer).__name__}, which has "
            f"{len(wanted)}; its state starts anew.",
            stacklevel=4,
        )
        return None
    arrays = [added[i] if d is None else files.read_array(d) for i, d in enumerate(data)]
    return optimizer.from_arrays(paths, arrays, state)


def _in_pairs(data, names):
    """Orders the arrays of Keras 2's older optimizers, all m before all v, array by array, as Keras 3 has them.

    Their names end in the slot: "Adam/dense/kernel/m:0".
    """
    ends = [name.split(":")[0].rpartition("/") for name in names]
    if len(ends) != len(data) or not all(slot in ("m", "v", "vhat") for _, _, slot in ends[1:]):
        return data
    order = {variable: i for i, (variable, _, _) in reversed(list(enumerate(ends)))}
    places = sorted(range(1, len(data)), key=lambda i: (order[ends[i][0]], ends[i][2]))
    return [*data[:1], *(data[i] for i in places)]
