"""What `compile` was given, between a model and the training_config of Keras's files."""

import inspect
import warnings

from fkeras import losses, metrics, optim
from fkeras.core.settings import custom_object_scope, get_registered_name, serialize
from fkeras.saving.configs import clean, for_keras_2
from fkeras.saving.keras_versions import TODAY, modernize
from fkeras.saving.moments import hdf5_settings

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
    about = {
        "class_name": name or type(optimizer).__name__,
        "config": hdf5_settings(optimizer, serialize(optimizer)["config"]),
    }
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
        return {"class_name": name, "config": for_keras_2(name, spec["config"])}
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


def compile_from(model, config, where, custom_objects=None, age=TODAY):
    """Compiles a model as a training_config of Keras (or a compile_config of its JSON) says.

    Raises:
        ValueError: A name or a setting in it is not known; the message names `where`.
    """
    if model.has_own("compile"):
        with custom_object_scope(custom_objects or {}):
            if model.has_own("compile_from_config"):
                model.compile_from_config(config)
                return
        warnings.warn(
            f"{where}: `compile()` was not called as part of model loading because the model's `compile()` method is "
            f"custom. Call it yourself, or write compile_from_config(self, config).",
            stacklevel=4,
        )
        return
    with custom_object_scope(custom_objects or {}):
        part = "optimizer"
        try:
            config = modernize(config, age)
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
    if isinstance(name, str) and _known(name) is _known(function) is not None:
        return name  # "mae" for mean_absolute_error: names stay names
    return metrics.MeanMetricWrapper(metrics.functions.find(function) or get(function), name=name)


def _known(name):
    """Returns the function or class that a name of a metric stands for, or None."""
    found = metrics.registry.find(name)
    return metrics.functions.find(name) if found is None else found
