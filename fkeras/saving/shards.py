"""Weights over several files, as Keras 3 writes them: `x.weights.json` says which file has the arrays of which layer.

    {"metadata": {"total_size": bytes}, "weight_map": {"/layers/dense/vars": ["x_00000.weights.h5"]}}

All are written beside their places and then put there, the list last. Should that be cut short, the files say that they
are of another save than the list.
"""

import contextlib
import json
import os
import re
import secrets
import warnings

from fkeras.core import paths
from fkeras.saving import configs, files, weights
from fkeras.saving.old_weights import Stored, read_all
from fkeras.saving.order import store

ENDING = ".weights.json"
SAVE = "fkeras_save"  # tells one save from the next, in the list and in the files
LIST = 1 << 26  # bytes of the list
MOST = 10_000  # files


def write(model, path, size, overwrite=True):
    """Writes the weights of a model into files of at most `size` gigabytes; a layer's own weights stay together.

    Raises:
        ValueError: The path has another ending, or the size is none. FileExistsError: `overwrite` is False.
    """
    if not path.endswith(ENDING) or isinstance(size, bool) or not isinstance(size, (int, float)) or not size > 0:
        raise ValueError(
            f"save_weights: max_shard_size needs a path that ends in {ENDING} and a size in gigabytes above 0, got "
            f"{path!r} and {size!r}."
        )
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"Cannot write {path!r}: it exists. Pass overwrite=True, or choose another name.")
    folder, stem = os.path.split(os.path.realpath(path).removesuffix(ENDING))
    shards, held = [[]], 0
    for place, _, variables in weights.places(model):
        if arrays := [v.numpy() for v in variables]:
            needed = sum(a.nbytes for a in arrays)
            if held and held + needed > size * 1e9:
                shards, held = [*shards, []], 0
            shards[-1].append((f"{place}/vars".lstrip("/"), arrays))
            held += needed
    before, names = _ours(path, stem), [f"{stem}_{i:05d}.weights.h5" for i in range(len(shards))]
    total = sum(a.nbytes for shard in shards for _, arrays in shard for a in arrays)
    token = secrets.token_hex(8)
    with contextlib.ExitStack() as stack:  # what is entered last takes its place first: the list comes after the files
        fresh = stack.enter_context(paths.replacing(path, overwrite))
        for name, shard in zip(names, shards, strict=True):
            file = stack.enter_context(files.writing(os.path.join(folder, name)))
            files.put_texts(file, **{SAVE: token})
            for place, arrays in shard:
                group = file.create_group(place)
                for number, array in enumerate(arrays):
                    files.put_array(group, str(number), array)
        places = {f"/{p}": [name] for name, shard in zip(names, shards, strict=True) for p, _ in shard}
        listed = configs.checked({"metadata": {"total_size": total, SAVE: token}, "weight_map": places})
        with open(fresh, "w", encoding="utf8") as file:
            json.dump(listed, file, indent=4)
    for name in set(before) - set(names):
        with contextlib.suppress(OSError):
            os.remove(os.path.join(folder, name))


def _ours(path, stem):
    """Returns the names of the files of the last save under this path."""
    try:
        named = _read(path, repr(path))[0].values()
    except (OSError, ValueError):
        return []
    pattern = re.compile(re.escape(stem) + r"_\d{5}\.weights\.h5")
    return sorted({n for names in named for n in names if pattern.fullmatch(n)})


def _read(path, where):
    """Returns ({place: [names of files]}, the save that they are of, or None where Keras wrote them)."""
    paths.check_regular(path)
    if os.path.getsize(path) > LIST:
        raise ValueError(f"Cannot read {where}: it has {os.path.getsize(path)} bytes, expected at most {LIST}.")
    with open(path, "rb") as file:
        listed = configs.compared(configs.parse(file.read(), where), where)
    found = listed.get("weight_map")
    if not isinstance(found, dict):
        raise ValueError(f"Cannot read {where}: it has no 'weight_map' of layers and files.")
    found = {place: [names] if isinstance(names, str) else names for place, names in found.items()}
    for names in found.values():
        for name in names if isinstance(names, list) else [names]:
            if not isinstance(name, str) or not name or name in (".", "..") or re.search(r"[/\\:\0]", name):
                raise ValueError(f"Cannot read {where}: it names {str(name)[:80]!r}, expected files beside it.")
    about = listed.get("metadata")
    return found, about.get(SAVE) if isinstance(about, dict) else None


def load(model, path, where, skip_mismatch=False, by_name=False, skipped=()):
    """Loads the weights of a model from the files that a list names; all or nothing.

    Raises:
        ValueError: A layer is missing, or has other weights there; the message names it and both shapes.
    """
    if by_name:
        raise ValueError(f"Cannot load {where} by_name: weights over several files are found by their places.")
    listed, save = _read(path, where)
    names = sorted({name for names in listed.values() for name in names})
    if len(names) > MOST:
        raise ValueError(f"Cannot read {where}: it names {len(names)} files, expected at most {MOST}.")
    used, found = set(), []
    with contextlib.ExitStack() as stack:
        folder = os.path.dirname(path)
        opened = {name: stack.enter_context(files.reading(os.path.join(folder, name))) for name in names}
        for name, file in opened.items():
            if save is not None and files.get_text(file, SAVE) != save:
                raise ValueError(f"Cannot read {where}: {name!r} is of another save. Was one interrupted?")
        for place, layer, variables in weights.places(model):
            place = f"{place}/vars".lstrip("/")
            used.add(f"/{place}")
            if layer in skipped or not variables:
                continue
            try:
                found += _fit([opened[n] for n in listed.get(f"/{place}", ())], place, layer, variables)
            except ValueError as err:
                if not skip_mismatch:
                    raise ValueError(f"Cannot load {where}, {place}: {err}") from None
                warnings.warn(f"{where}, {place}: {err} Its weights stay as they are.", stacklevel=5)
        if (extra := sorted(set(listed) - used)) and not skip_mismatch:
            raise ValueError(
                f"Cannot load {where}: it also has weights that the model has no layer for, at {', '.join(extra[:5])}. "
                f"Is it of another model?"
            )
        found = read_all([(v, stored) for v, stored in found if v.layer not in skipped], where)
    store(found)


def _fit(opened, place, layer, variables):
    """Returns [(variable, Stored)] of one layer, whose arrays may lie in several files."""
    groups = {}
    for file in opened:
        group = files.get_group(file, place)
        groups |= dict.fromkeys(group, group)
    if len(groups) != len(variables):
        raise ValueError(f"{layer.label} has {len(variables)} weights, the files have {len(groups)}.")
    found = []
    for i, variable in enumerate(variables):
        if str(i) not in groups:
            raise ValueError(f"{layer.label}: there is no weight {i} in the files.")
        data = files.get_dataset(groups[str(i)], str(i))
        if data.shape != variable.shape:
            raise ValueError(
                f"{layer.label} expects shape {variable.shape} for {variable.name!r}, the file has {data.shape}."
            )
        found.append((variable, Stored([data], [i])))
    return found
