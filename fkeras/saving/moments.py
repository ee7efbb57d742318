"""An optimizer's arrays in files, in the four orders that Keras had.

    Keras 3           iteration, learning_rate, then array by array: m, v of the first, m, v of the second, ...
    tf.keras 2.11-    iteration, then the same; names "Adam/m/dense/kernel:0"
    tf.keras -2.10    iter, then slot by slot: all m, then all v; names "Adam/dense/kernel/m:0"
    Keras 1 and 2     iterations (not every optimizer), then slot by slot; names that say nothing

HDF5 files are written slot by slot where tf.keras has the optimizer, so that it can take the state up. (Keras 3 takes
no optimizer's state from HDF5, in whatever order: its own files lose it too.)
"""

import warnings

import numpy as np

from fkeras import optim
from fkeras.core import tree
from fkeras.saving import files
from fkeras.saving.keras_versions import TODAY
from fkeras.saving.old_weights import Stored
from fkeras.saving.order import trained_paths, weights_by_path

# The words of tf.keras for slots -> those of Keras 3, where they differ.
_SLOTS = {
    "m": "momentum",
    "v": "velocity",
    "vhat": "velocity_hat",
    "u": "norm",
    "rms": "velocity",
    "mg": "average_gradient",
    "accum_grad": "accumulated_grad",
    "accum_var": "accumulated_delta_var",
}
_WORDS = {*_SLOTS, *_SLOTS.values(), "accumulator", "linear"}

# What tf.keras (up to 2.10) calls the slots of the optimizers it has, in its order; Keras's settings that it knows too.
TF_KERAS = {
    "SGD": ({"momentum": "momentum"}, ("momentum", "nesterov")),
    "Adam": ({"momentum": "m", "velocity": "v", "velocity_hat": "vhat"}, ("beta_1", "beta_2", "epsilon", "amsgrad")),
    "Adamax": ({"momentum": "m", "norm": "v"}, ("beta_1", "beta_2", "epsilon")),
    "Nadam": ({"momentum": "m", "velocity": "v"}, ("beta_1", "beta_2", "epsilon")),
    "RMSprop": (
        {"velocity": "rms", "momentum": "momentum", "average_gradient": "mg"},
        ("rho", "momentum", "epsilon", "centered"),
    ),
    "Adagrad": ({"accumulator": "accumulator"}, ("initial_accumulator_value", "epsilon")),
    "Adadelta": ({"accumulated_grad": "accum_grad", "accumulated_delta_var": "accum_var"}, ("rho", "epsilon")),
    "Ftrl": (
        {"accumulator": "accumulator", "linear": "linear"},
        (
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        ),
    ),
}
_EVERYWHERE = ("name", "learning_rate", "clipnorm", "clipvalue", "global_clipnorm")


# -------------------------------------------------------------------------------------------- writing


def optimizer_arrays(model):
    """Returns [(name, array)] of the optimizer's state in the order of Keras 3; empty before training."""
    found = _layout(model)
    return [(name, array) for name, _, array in found]


def _layout(model):
    """Returns [(name, path into the state, array)] in the order of Keras 3."""
    optimizer = model.optimizer
    if optimizer is None or optimizer.state is None:
        return []
    paths = trained_paths(model)
    trained = {p: a for p, a in tree.flatten(model.gather()[0]).items() if p in set(paths)}
    state = optimizer.extend(optimizer.state, tree.unflatten(trained))  # of a layer unfrozen since the last step
    layout = optimizer.variables_layout(paths, state)
    arrays = optimizer.to_arrays(paths, state)
    return [(f"{optimizer.name}/{n}", path, array) for (n, path), array in zip(layout, arrays, strict=True)]


def hdf5_arrays(model):
    """Returns [(name, array)] as HDF5 files hold them: in the order of tf.keras where it has the optimizer."""
    found = _layout(model)
    known = TF_KERAS.get(type(model.optimizer).__name__)
    kinds = {path[0] for _, path, _ in found}
    if known is None or not kinds <= {"iterations", "learning_rate", "slots", "shared"}:
        return [(name, array) for name, _, array in found]
    top = type(model.optimizer).__name__
    out = [(f"{top}/iter:0", array) for _, path, array in found if path == ("iterations",)]
    out += [(f"{top}/momentum_cache:0", array) for _, path, array in found if path[0] == "shared"]
    slots = [(path[1:-1], path[-1], array) for _, path, array in found if path[0] == "slots"]
    order = list(known[0])
    if top != "Ftrl":  # whose slots tf.keras makes array by array
        slots.sort(key=lambda s: order.index(s[1]))
    return out + [("/".join((top, *map(str, path), f"{known[0][slot]}:0")), array) for path, slot, array in slots]


def hdf5_settings(optimizer, config):
    """Returns an optimizer's settings without those that tf.keras refuses, where they are what Keras 3 takes anyway."""
    known = TF_KERAS.get(type(optimizer).__name__)
    if known is None:
        return config
    kept = {*_EVERYWHERE, *known[1]}
    usual = {n: f.default for n, f in type(optimizer)._fields.items()}
    return {k: v for k, v in config.items() if (k in kept and v is not None) or (k not in kept and v != usual.get(k))}


# -------------------------------------------------------------------------------------------- reading


def optimizer_state(model, data, names, where, found=(), age=TODAY):
    """Returns the optimizer's state with the arrays of a file in it, or None where they are of another optimizer.

    Args:
        data: The file's datasets, in its order. They are read only when all shapes fit.
        names: Their names, or None where the order is that of Keras 3.
        where: Names the file and the part in the warning.
        found: [(variable, array, Stored)] that are going to be stored in the model.
        age: Of the file.
    """
    optimizer, paths = model.optimizer, trained_paths(model)
    arrays = {variable: array for variable, array, _ in found}
    variables = {path: v for path, _, v in weights_by_path(model)}
    leaves = {p: arrays[v] if (v := variables[p]) in arrays else v.value for p in paths}
    state = optimizer.init(tree.unflatten(leaves))
    layout = [path for _, path in optimizer.variables_layout(paths, state)]
    wanted = [np.shape(optim.base.at(state, path)) for path in layout]
    if all(tuple(d.shape) == () for d in data) and len(data) < len(wanted):
        return None  # Keras saved an optimizer that had not made a step
    sources = [(p, s) for p, s in ((p, _source(found, variables[p])) for p in paths)]
    held = _by_path(optimizer, layout, data, names, sources, age)
    if held is None or [tuple(np.shape(held[p])) if p in held else None for p in layout] != wanted:
        warnings.warn(
            f"{where}: the optimizer's {len(data)} arrays do not fit {type(optimizer).__name__}, which has "
            f"{len(wanted)}; its state starts anew.",
            stacklevel=6,
        )
        return None
    files.check_together([part for a in held.values() for part in getattr(a, "parts", [a])], where)
    read = [a.read() if hasattr(a, "read") else a if isinstance(a, np.generic) else files.read_array(a)
            for a in map(held.get, layout)]  # fmt: skip
    return optimizer.from_arrays(paths, read, state)


def _source(found, variable):
    return next((stored for v, _, stored in found if v == variable), None)


def _by_path(optimizer, layout, data, names, sources, age):
    """Returns {path into the state: dataset}, or None if the arrays are of another optimizer."""
    slots = _by_slot(names) if names is not None else None
    shapes = [tuple(d.shape) for d in data]
    if slots is None and (names is None or not age.old):
        return _in_order(optimizer, layout, data, shapes, age)
    first = next((i for i, s in enumerate(shapes) if s != ()), len(shapes))
    if slots is None:
        slots = _in_turn(optimizer, data[first:], sources)
        if slots is None:
            return None
    else:
        ours = {path[-1] for path in layout if path[0] == "slots"}
        alike = {"norm": "velocity"} if "norm" in ours else {}  # Adamax: tf.keras says v
        spare = {"momentum"} if type(optimizer).__name__ == "SGD" else set()  # kept by tf.keras also where it is 0
        if not set(slots) <= ours | set(alike.values()) | spare:
            return None
        slots = {slot: [data[i] for i in places] for slot, places in slots.items()}
    held = {("iterations",): data[0] if first else np.int32(0)}
    held[("learning_rate",)] = np.float32(optimizer.learning_rate)
    if ("shared", "u_product") in layout:
        held[("shared", "u_product")] = _nadams_product(optimizer, held[("iterations",)], data[1:first], age)
    for slot, arrays in slots.items():
        for (path, _), array in zip(sources, _as_weights(sources, arrays), strict=False):
            for word in (slot, "norm" if slot == "velocity" else slot):
                held[("slots", *path, word)] = array
    return held


def _in_order(optimizer, layout, data, shapes, age):
    """The order of Keras 3; tf.keras keeps no rate there, and keeps SGD's momentum also where it is 0."""
    rate = {}
    if age.old and ("shared", "u_product") in layout and len(shapes) > 1 and shapes[-1] != ():
        layout = [path for path in layout if path != ("shared", "u_product")]
        rate = {("shared", "u_product"): _nadams_product(optimizer, data[0], [], age)}
    if ("learning_rate",) in layout and (len(shapes) < 2 or shapes[1] != ()):
        rate[("learning_rate",)] = np.float32(optimizer.learning_rate)
        layout = [path for path in layout if path != ("learning_rate",)]
        if not any(path[0] == "slots" for path in layout):
            data = data[: len(layout)]
    if len(data) != len(layout):
        return None
    return rate | dict(zip(layout, data, strict=True))


def _by_slot(names):
    """Returns {slot: [places]} of names that tell the slot, those of tf.keras; None for other names."""
    for at in (-1, 1, 0):  # the first where the optimizer was built outside a step, and its name is missing
        parts = [name.split(":")[0].split("/") for name in names]
        words = [p[at] if len(p) > 2 else None for p in parts]
        if any(words) and all(w in _WORDS for w in words if w is not None) and _scalars_first(words):
            found = {}
            for i, word in enumerate(words):
                if word is not None:
                    found.setdefault(_SLOTS.get(word, word), []).append(i)
            return found
    return None


def _scalars_first(words):
    named = [w is not None for w in words]
    return named == sorted(named)


def _in_turn(optimizer, data, sources):
    """Keras 1 and 2: all arrays of the first slot, then all of the second, by the weights' order in the file."""
    order = [slot for block in optimizer.blocks for slot in block] or ["momentum", "accumulator"]
    n = sum(len(s.parts) if s is not None else 1 for _, s in sources)
    if not n:
        return {}
    known = [slot for slot in order if optimizer.blocks or slot in optimizer.slots(np.zeros(1, np.float32))]
    return {slot: list(data[i * n : (i + 1) * n]) for i, slot in enumerate(known) if len(data) >= (i + 1) * n}


def _as_weights(sources, arrays):
    """Returns a slot's arrays in the form of the weights: put together and turned as those of the file were."""
    if len(arrays) == len(sources):
        return [
            a if s is None or s.combine is None else Stored([a], [0], s.combine, s.shape)
            for (_, s), a in zip(sources, arrays, strict=True)
        ]
    found, at = [None] * len(sources), 0
    homes = {}  # the parts of a layer's weights lie among each other: its list of the file is one run of the slot's
    for i, (path, stored) in enumerate(sources):
        homes.setdefault(path[:-1], []).append((i, stored))
    for members in homes.values():
        places = sorted(p for _, stored in members for p in stored.places)
        for i, stored in members:
            parts = [arrays[at + places.index(p)] for p in stored.places]
            found[i] = Stored(parts, stored.places, stored.combine, stored.shape)
        at += len(places)
    return found


def _nadams_product(optimizer, iterations, scalars, age):
    """The product of the momenta so far. tf.keras forgets it, or keeps that of its older formula: made anew."""
    if not age.old and scalars:
        return scalars[0]
    steps = int(files.read_array(iterations)) if not isinstance(iterations, np.generic) else int(iterations)
    momenta = [optim.moments.nadam_momentum(step, optimizer.beta_1) for step in range(1, min(steps, 10**6) + 1)]
    return np.float32(np.prod(momenta)) if momenta else np.float32(1)
