"""Keras 3's layout of weights alone: groups nested like the model, arrays by number.

    /layers/dense/vars/0            the second Dense of a model is dense_1, whatever its name
    /layers/bidirectional/forward_layer/cell/vars/0
    /optimizer/vars/0
    /vars                           attribute "name" on every vars group

Files of Keras 2.13 to 2.15 say `_layer_checkpoint_dependencies` for `layers`.
"""

import itertools
import re
import warnings

from fkeras.core.settings import snake_case
from fkeras.saving import files
from fkeras.saving.keras_versions import TODAY
from fkeras.saving.moments import optimizer_arrays, optimizer_state
from fkeras.saving.old_weights import Stored, read_all
from fkeras.saving.order import inner_layers, keras_layers, own_weights, store

OLD = "_layer_checkpoint_dependencies"
_TOKENS = 10_000_000  # in a vocabulary
_GROUPS = 3_000  # groups that a file may have beside those of the model
_OTHERS = ("optimizer", "_optimizer", "loss_tracker", "metrics", "_metrics")  # groups that no layer has

# Where Keras keeps the layers that a layer here keeps under another key.
_HEADS = {k: f"{k}_dense" for k in ("query", "key", "value")} | {"attention_output": "output_dense"}
_KERAS_CLASSES = {"Model": "Functional", "GroupQueryAttention": "GroupedQueryAttention"}
_INNER = {
    "MultiHeadAttention": {**_HEADS, "gate": "_gate_dense"},
    "GroupQueryAttention": {k: f"_{v}" for k, v in {**_HEADS, "gate": "gate_dense"}.items()},
    "Bidirectional": {"forward": "forward_layer", "backward": "backward_layer"},
}


def places(model):
    """Returns [(path of the group, layer, its own variables)] of a model and all layers inside it, each once."""
    found, seen = [], set()

    def walk(layer, path):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        found.append((path, layer, [*getattr(layer, "held_weights", ()), *own_weights(layer)]))
        for inner, child in _inner_paths(layer):
            walk(child, _join(path, inner))

    walk(model, "")
    return found


def _join(path, inner):
    return f"{path}/{inner}" if path and inner else path or inner


def _inner_paths(layer):
    """Yields (path below the layer's group, inner layer)."""
    if hasattr(layer, "graph") and (layer.graph is not None or hasattr(layer, "_chain")):
        yield from _numbered("layers", keras_layers(layer))
        return
    names = next((_INNER[c.__name__] for c in type(layer).__mro__ if c.__name__ in _INNER), {})
    inner = inner_layers(layer)
    found, lists = [], {}  # a list or dict of layers, as an attribute: its members are numbered by class
    for key, child in inner.items():
        folder = None if layer.__dict__.get(key) is child else _holder(layer, child)
        if folder is None:
            found.append((names.get(key, key), child))
        else:
            lists.setdefault(folder, []).append(child)
    for folder, children in lists.items():
        found += _numbered(folder, children)
    if hasattr(layer, "graph"):  # a model that computes in `call`: Keras walks the attributes by name, one is "layers"
        found = [(path, child) for path, child in found if path < "layers"] + [*_numbered("layers", inner.values())]
    yield from found


def _holder(layer, child):
    """Returns the name of the attribute that holds `child` in a list or dict, or None."""
    for name, value in layer.__dict__.items():
        members = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        if not name.startswith("_") and any(m is child for m in members):
            return name
    return None


def _numbered(folder, children):
    counts = {}
    for child in children:
        kind = type(child).__name__
        kind = snake_case(_KERAS_CLASSES.get(kind, kind))
        n = counts[kind] = counts.get(kind, -1) + 1
        yield f"{folder}/{kind}_{n}" if n else f"{folder}/{kind}", child


# -------------------------------------------------------------------------------------------- writing


def write(model, file):
    """Writes all weights, and the optimizer's state where training has begun, into an open h5py file."""
    for path, layer, variables in places(model):
        group = file.create_group(f"{path}/vars".lstrip("/"))
        files.put_texts(group, name=layer.name)
        for i, v in enumerate(variables):
            files.put_array(group, str(i), v.numpy())
        if (idf := getattr(layer, "token_weights", lambda: None)()) is not None:  # Keras asks for them here
            files.put_array(group, "idf_weights", idf)
            files.put_array(file.create_group(f"{path}/_lookup_layer/vars".lstrip("/")), "idf_weights", idf)
    if model.compiled:
        file.attrs["fkeras_seed"] = model._seed
        if arrays := optimizer_arrays(model):
            group = file.create_group("optimizer/vars")
            files.put_texts(group, name=model.optimizer.name)
            for i, (_, array) in enumerate(arrays):
                files.put_array(group, str(i), array)


# -------------------------------------------------------------------------------------------- reading


def is_layout(group):
    """Whether a group holds weights in this layout."""
    return any(files.has(group, name) for name in ("layers", "vars", OLD)) or bool(_of_windows(group))


def _of_windows(file):
    """Returns {path: group} of a file that Keras 2 wrote on Windows: one group at the root, "layers\\dense"."""
    found = {name.replace("\\", "/"): name for name in file if "\\" in name}
    return {re.sub(r"(^|/)_+", r"\1", path): name for path, name in found.items()}


def plan(model, file, where, skip_mismatch=False, by_name=False, skipped=()):
    """Returns [(variable, array, Stored)]: what loading stores. Everything is compared before anything is stored.

    Args:
        skipped: Layers that keep their weights, as do those inside of them.

    Raises:
        ValueError: A layer is missing in the file, or has other weights there; the message names it and both shapes.
    """
    windows = _of_windows(file)
    old = not files.has(file, "layers") and (files.has(file, OLD) or any(n.startswith(OLD) for n in windows.values()))
    renamed = _by_name(model, file) if by_name else None
    found, used = [], set()
    for path, layer, variables in places(model):
        if renamed is not None:
            head, _, tail = path.removeprefix("layers/").partition("/")
            if not path.startswith("layers/") or head not in renamed:
                continue
            path = _join(f"layers/{renamed[head]}", tail)
        if old:
            path = "/".join(OLD if part == "layers" else part for part in path.split("/"))
        if layer in skipped:
            used.add(f"{path}/vars".lstrip("/"))
            continue
        path = windows.get(re.sub(r"(^|/)_+", r"\1", path)) or _present(file, path)
        try:
            found += _fit(file, f"{path}/vars".lstrip("/"), layer, variables)
        except ValueError as err:
            if not skip_mismatch:
                raise ValueError(f"Cannot load {where}, {path or '/'}: {err}") from None
            warnings.warn(f"{where}, {path or '/'}: {err} Its weights stay as they are.", stacklevel=6)
        used.add(f"{path}/vars".lstrip("/"))
    if not by_name and not skip_mismatch and (extra := list(itertools.islice(_unused(file, used), 5))):
        ours = sum(bool(variables) for _, _, variables in places(model))
        raise ValueError(
            f"Cannot load {where}: it also has weights that the model has no layer for, at {', '.join(extra)}. The "
            f"model has {ours} layers with weights, the file has {ours + sum(1 for _ in _unused(file, used))}. Is it "
            f"of another model?"
        )
    return read_all(found, where)


def _present(file, path):
    """Returns the path as the file has it: Keras 2 wrote `_query_dense` where Keras 3 writes `query_dense`."""
    group, found = file, []
    for part in path.split("/"):
        name = part if files.has(group, part) or not files.has(group, f"_{part}") else f"_{part}"
        group = group[name] if files.has(group, name) else None
        found.append(name)
    return "/".join(found)


def _by_name(model, file):
    """Returns {group of a layer in the model: group in the file whose name is that layer's}."""
    top = files.get_group(file, "layers")
    held = [g for g in itertools.islice(top, _GROUPS) if files.has(top, g) and files.has(top[g], "vars")]
    names = {files.get_text(files.get_group(top, f"{g}/vars"), "name"): g for g in held}
    return {
        path.removeprefix("layers/"): names[layer.name]
        for path, layer, _ in ((p, c, None) for p, c in _inner_paths(model))
        if layer.name in names
    }


def _fit(file, path, layer, variables):
    """Returns [(variable, dataset)] of one layer; raises ValueError on a mismatch."""
    if hasattr(layer, "load_vocabulary"):  # it has none; what Keras keeps for it comes with its vocabulary
        return []
    exists = file
    for part in path.split("/"):
        exists = exists[part] if files.has(exists, part) else None
    group = files.get_group(file, path) if exists is not None else {}
    if len(group) == len(own := own_weights(layer)):  # without those that Keras lets it hold, as fkeras 0.1 wrote
        variables = own
    if len(group) != len(variables):
        raise ValueError(f"{layer.label} has {len(variables)} weights, the file has {len(group)}.")
    try:
        pairs = [(v, Stored([files.get_dataset(group, str(i))], [i])) for i, v in enumerate(variables)]
    except ValueError as err:
        wanted = ", ".join(f"{v.name} {v.shape}" for v in variables)
        raise ValueError(f"{err} It belongs to {layer.label}, whose weights are {wanted}.") from None
    for v, data in pairs:
        if data.shape != v.shape:
            raise ValueError(f"{layer.label} expects shape {v.shape} for {v.name!r}, the file has {data.shape}.")
    return pairs


def _unused(file, used):
    """Yields the paths of groups of arrays that no layer of the model asked for; the optimizer's are not meant."""
    seen = set()

    def walk(group, path):
        if (place := files.addresses(group)) in seen:  # a group may be linked into itself
            return
        seen.add(place)
        if len(seen) > 10 * len(used) + _GROUPS:
            raise ValueError(f"Cannot read {files.where(file)}: it has more than {len(seen)} groups.")
        for name in group:
            if not files.has(group, name) or not hasattr(group[name], "keys"):
                continue
            inner = f"{path}/{name}".lstrip("/")
            if re.split(r"[/\\]", inner)[0] in _OTHERS:
                continue
            if name == "vars":
                if len(group[name]) and inner not in used and not re.search("seed_generator|/_lookup_layer/", inner):
                    yield inner
            else:
                yield from walk(group[name], inner)

    yield from walk(file, "")


def read_token_weights(file, path):
    """Returns the weights of tokens that Keras keeps beside a layer's vocabulary (special ones first), or None."""
    group = file
    for part in (*path.split("/"), "vars"):
        group = files.find_group(group, part) if group is not None else None
    if group is None or not files.has(group, "idf_weights"):
        return None
    found = files.get_dataset(group, "idf_weights")
    if len(found.shape) != 1 or found.shape[0] > _TOKENS or found.dtype.kind != "f":
        raise ValueError(f"expected idf_weights as a list of up to {_TOKENS} numbers, got {found.dtype}{found.shape}.")
    return files.read_array(found)


def has_any(file):
    """Whether there are weights in a file, of whatever layers."""
    return next(_unused(file, set()), None) is not None


def read_optimizer(model, file, where, arrays, age=TODAY):
    """Returns the optimizer's state held in the file, or None; `arrays` are those to be stored in the model."""
    home = files.find_group(file, "optimizer") if model.compiled and model.built else None
    group = files.find_group(home, "vars") if home is not None else None
    if group is None:
        return None
    data = [files.get_dataset(group, str(i)) for i in range(len(group))]
    return optimizer_state(model, data, None, f"{where}, optimizer", arrays, age)


def load(model, file, where, age=TODAY, **options):
    """Loads all weights, and the optimizer's state where the model is compiled and the file has it; all or nothing."""
    found = plan(model, file, where, **options)
    state = read_optimizer(model, file, where, found, age) if not options.get("skipped") else None
    store(found)
    if state is not None:
        model.optimizer.state = state
        if (seed := files.get_int(file, "fkeras_seed")) is not None:
            model._seed = seed
