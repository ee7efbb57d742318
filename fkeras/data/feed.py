"""From what users hand to fit, evaluate and predict to a checked source of batches."""

import functools
import warnings

import jax
import numpy as np

from fkeras import losses as losses_lib
from fkeras.core.dtypes import STRING
from fkeras.core.settings import nearest
from fkeras.core.tree import in_form
from fkeras.data import files
from fkeras.data.host import HostSource
from fkeras.data.pydataset import PyDataset
from fkeras.data.sources import ArraySource, BatchSource, Columns, host_array, is_rows, make_source
from fkeras.graphs.graph import is_absent
from fkeras.layers.contract.texts import as_column, holds_text, lists_as_arrays, text_array

LARGE_BATCH = 256  # rows; larger ones are cut where there are fewer rows


def training_source(model, x, y, sample_weight, class_weight, batch_size, shuffle, steps, what="fit"):
    """Returns the source of (x, y, w) batches for fit or evaluate."""
    if x is None:
        raise ValueError(f"{what}: there are no data: x is None.")
    if is_batches(x, y):
        for name, value in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size)):
            if value is not None:
                raise ValueError(
                    f"{what}: x is an iterable of batches ({type(x).__name__}), which brings its own {name}; "
                    f"leave {name} out."
                )
        weigh = _class_weigher(model, class_weight)
        arranged = lambda batch: weigh(arrange_batch(model, batch))  # noqa: E731
        return BatchSource(x, arranged, steps, f"{what}: x", shuffle=shuffle)
    columns = _class_weigher(model, class_weight)(arrange(model, x, y, sample_weight, what))
    _check_lengths(columns, what)
    source = _source(model, columns, _batch_size(model, batch_size, columns.rows, what), shuffle)
    source.goes_on = what == "fit" and steps is not None
    return source


def validation_source(model, source, data, split, batch_size, steps):
    """Returns (training source, validation source or None), splitting off the last rows if asked."""
    if data is not None:
        if isinstance(data, (tuple, list)) and len(data) in (1, 2, 3) and not _is_batch_list(data):
            columns = arrange(model, *(*data, None, None)[:3], "fit(validation_data=...)")
            _check_lengths(columns, "fit(validation_data=...)")
            return source, _source(model, columns, _batch_size(model, batch_size, columns.rows, "fit"))
        if is_batches(data, None):
            return source, BatchSource(
                data, lambda batch: arrange_batch(model, batch), steps, "fit: validation_data", goes_on=False
            )
        raise ValueError(
            f"fit: expected validation_data as (x, y), (x, y, sample_weight) or an iterable of batches, "
            f"got {type(data).__name__}."
        )
    if isinstance(split, bool) or not 0 <= split < 1:
        raise ValueError(f"fit: expected validation_split as a fraction in [0, 1), got {split!r}.")
    if not split:
        return source, None
    if not hasattr(source, "split"):
        raise ValueError("fit: validation_split needs arrays; for an iterable of batches give validation_data.")
    size = source.batch_size if batch_size is None else _batch_size(model, batch_size, source.rows, "fit: validation")
    first, last = source.split(split, size)
    if not first.rows or not last.rows:
        raise ValueError(
            f"fit: validation_split={split} of {source.rows} rows leaves {first.rows} to train on and {last.rows} "
            f"to validate on. Give more data or another fraction."
        )
    return first, last


def prediction_source(model, x, batch_size, steps):
    """Returns the source of batches for predict."""
    if x is None:
        raise ValueError("predict: there are no data: x is None.")
    if is_batches(x, None):
        if batch_size is not None:
            raise ValueError("predict: x is an iterable of batches, which have their own size; leave batch_size out.")
        return BatchSource(x, lambda batch: arrange_batch(model, batch, targets=False), steps, "predict: x")
    columns = arrange(model, x, None, None, "predict")
    _check_lengths(columns, "predict")
    return _source(model, columns, _batch_size(model, batch_size, columns.rows, "predict"))


def single_batch(model, x, y, sample_weight, class_weight, targets=True):
    """Returns a source of one batch of exactly the rows given."""
    columns = arrange(model, x, y if targets else None, sample_weight, "train_on_batch")
    columns = _class_weigher(model, class_weight)(columns)
    _check_lengths(columns, "train_on_batch")
    return ArraySource(prepare(model, columns), columns.rows)


def _source(model, columns, batch_size, shuffle=False):
    """Returns the source of a model's batches from all rows; text among them is read by the model's host part."""
    if model.host is None:
        return make_source(columns, batch_size, shuffle)
    _check_shapes(model, model.input_specs(), columns.x, model.input_names, "the data")
    return HostSource(columns, batch_size, shuffle, functools.partial(prepare, model), model.host)


# ---------------------------------------------------------------------------------------- arrangement


def is_batches(x, y):
    """True if `x` is an iterable of batches rather than the rows themselves."""
    if isinstance(x, PyDataset):
        return True
    if isinstance(x, dict) or is_rows(x) or isinstance(x, (str, bytes, int, float)):
        return False
    if isinstance(x, (list, tuple)):
        return y is None and _is_batch_list(x)
    return hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _is_batch_list(x):
    """True for [(x, y), (x, y), ...] of arrays; a tuple is one (x, y) or the inputs of a model."""
    pairs = isinstance(x, list) and bool(x) and all(isinstance(b, tuple) and len(b) in (2, 3) for b in x)
    return pairs and all(hasattr(part, "shape") and len(part.shape) > 0 for part in x[0])


def arrange(model, x, y, w, what):
    """Returns `Columns` in the order of the model's inputs and outputs."""
    if model.takes_trees and holds_text(x):
        raise ValueError(
            f"{model.label}: it computes in `call`, which is compiled, and JAX has no strings; got text as x. Put its "
            f"text layers in front: Sequential([TextVectorization(...), model])."
        )
    if model.input_names is None and isinstance(x, (list, tuple, dict)) and model.takes_trees:
        model.build(jax.tree.map(lambda a: (None, *a.shape[1:]), x))  # a tree of arrays tells a model's inputs
    if model._io is None and model.on_host and holds_text(x := lists_as_arrays(x)):
        model.prepared(x)  # a chain that begins with text is built by it
    if model._io is not None:
        x, y = in_form(x, model._io.inputs), in_form(y, model._io.outputs)
    x = _without_columns(model, x)
    texts = [s.dtype == STRING for s in model.input_specs()] if model.host is not None else None
    xs = _leaves(x, model.input_names, model.input_ranks, what, "x", "input", texts)
    if model._io is not None:  # a column for an input of one feature
        pairs = zip(xs, model.input_specs(), strict=False)
        xs = [_column(a, s) for a, s in pairs]
    names = model.output_names
    if isinstance(y, dict) and names:  # an output that nothing is compared at needs no targets
        y = y | {name: np.zeros(len(xs[0]), np.float32) for name in model.unjudged_outputs() if y.get(name) is None}
    ys = None if y is None else _leaves(y, names, None, what, "y", "output")
    ws = None if w is None else _weights(w, names, len(xs[0]), what)
    return Columns([_frame(a) for a in xs], ys and [_frame(a) for a in ys], ws)


def _without_columns(model, x):
    """Returns the inputs with an array of no columns for each optional one that is None."""
    symbols = list(model.input_specs()) if model._io is not None else []
    if not isinstance(x, (list, tuple, dict)) or not any(is_absent(s, None) for s in symbols):
        return x
    keys = model.input_names if isinstance(x, dict) else range(len(x))
    given = {key: x.get(key) if isinstance(x, dict) else x[key] for key in keys}
    if all(a is not None for a in given.values()):
        return x
    rows = next((len(a) for a in given.values() if a is not None), 0)
    empty = np.zeros((rows, 0), bool)
    for (key, a), symbol in zip(given.items(), symbols, strict=False):
        given[key] = empty if a is None and is_absent(symbol, None) else a
    return given if isinstance(x, dict) else list(given.values())


def _column(a, symbol):
    if _is_array(a):
        return as_column(a, symbol.shape) if a.ndim == 1 or symbol.dtype == STRING else a
    in_file = files.stays_in_file(a) and len(a.shape) == 1 and symbol.shape[1:] == (1,)
    return files.Column(a) if in_file else a


def _is_array(a):
    return isinstance(a, (np.ndarray, jax.Array))


def _frame(a):
    return a.to_numpy() if hasattr(a, "to_numpy") else a


def arrange_batch(model, batch, targets=True):
    """Returns `Columns` of one batch as an iterable gave it: x, (x,), (x, y) or (x, y, sample_weight)."""
    parts = batch if isinstance(batch, tuple) else (batch,)
    if isinstance(batch, list) and len(batch) in (2, 3) and len(model.input_names or "1") == 1:
        parts = tuple(batch)  # a torch DataLoader gives lists
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"A batch is x, (x, y) or (x, y, sample_weight); got a tuple of {len(parts)}.")
    x, y, w = (*parts, None, None)[:3]
    return prepare(model, arrange(model, x, y if targets else None, w if targets else None, "a batch"))


def prepare(model, columns):
    """Returns a batch as programs take it: arrays in dtypes that JAX keeps, what was text read by the host part."""
    part = model.host
    if part is None:
        return columns.map(host_array)
    specs, names = model.input_specs(), model.input_names
    y, w = (None if held is None else [host_array(a) for a in held] for held in (columns.y, columns.w))
    pairs = list(zip(specs, columns.x, names, strict=True))
    x = [text_array(a, repr(name)) if s.dtype == STRING else host_array(a) for s, a, name in pairs]
    _check_shapes(model, specs, x, names, "a batch")
    x = [np.asarray(a) for a in part.run(x)]
    check_values(model, x)
    return Columns(x, y, w)


def _leaves(value, names, ranks, what, argument, noun, texts=None):
    """Returns one array per input (or output), from an array, a list or a dict by name; `texts` says which are text."""
    n = len(names) if names else 1
    numbers = [_array] * n if texts is None else [_text if text else _array for text in texts]
    if isinstance(value, dict):
        if not names:
            if len(value) == 1:
                return [numbers[0](v) for v in value.values()]
            raise ValueError(f"{what}: {argument} is a dict, but the model has one {noun}. Give an array.")
        missing = [k for k in names if k not in value]
        if missing:
            raise ValueError(
                f"{what}: {argument} has no {missing[0]!r}.{nearest(missing[0], value)} The model's {noun}s: "
                f"{', '.join(names)}; got {', '.join(map(str, value))}."
            )
        return [read(value[k]) for read, k in zip(numbers, names, strict=True)]
    if isinstance(value, (list, tuple)):
        if n > 1:
            if len(value) != n:
                raise ValueError(
                    f"{what}: expected {n} arrays for the model's {noun}s ({', '.join(names)}), got {len(value)}."
                )
            return [read(v) for read, v in zip(numbers, value, strict=True)]
        is_array = len(value) == 1 and hasattr(value[0], "shape")
        if is_array and (ranks is None or len(value[0].shape) == ranks[0]):
            return [numbers[0](value[0])]
        return [numbers[0](value)]
    if n > 1:
        raise ValueError(
            f"{what}: the model has {n} {noun}s ({', '.join(names)}): give {argument} as a list or a dict of arrays, "
            f"got one {type(value).__name__}."
        )
    return [numbers[0](value)]


def _text(a):
    """Returns the rows of a column of text; what stays in a file is read batch by batch."""
    a = a if files.stays_in_file(a) else text_array(a)
    if len(a.shape) == 0:
        raise ValueError(f"Expected an array of texts, got a single one: {str(a)[:40]!r}. Put it into a list.")
    return a


def _array(a):
    if hasattr(a, "toarray") and hasattr(a, "tocsr"):  # a sparse matrix of SciPy: dense a batch at a time
        return files.SparseRows(a)
    if hasattr(a, "to_numpy"):
        a = a.to_numpy()
    if not hasattr(a, "shape") or hasattr(a, "detach") or (hasattr(a, "numpy") and not _is_array(a)):
        a = host_array(a)  # of lists, and of tensors of other libraries
    if len(a.shape) == 0:
        raise ValueError(f"Expected an array of rows, got a single value: {a!r}.")
    return a


def _weights(w, names, rows, what):
    """Returns one array per output: what a list or dict gives it, ones where that is nothing, or one for all."""
    n = len(names) if names else 1
    if isinstance(w, dict):
        if unknown := [k for k in w if k not in (names or ())]:
            raise ValueError(
                f"{what}: sample_weight has {unknown[0]!r}, but no output is called so."
                f"{nearest(unknown[0], names or ())} Outputs: {', '.join(names or ['(one)'])}."
            )
        w = [w.get(k) for k in names]
    elif n == 1 or not isinstance(w, (list, tuple)) or len(w) != n:
        w = [_array(w)] * n
    return [np.ones(rows, np.float32) if a is None else _array(a) for a in w]


def _class_weigher(model, class_weight):
    """Returns a function that multiplies the class weights into the columns' sample weights."""
    if class_weight is None:
        return lambda columns: columns
    if not isinstance(class_weight, dict):
        raise TypeError(f"class_weight: expected a dict {{class: weight}}, got {type(class_weight).__name__}.")
    table = {int(k): float(v) for k, v in class_weight.items()}
    for k, v in table.items():
        if not np.isfinite(v):
            raise ValueError(f"class_weight: expected a finite weight for class {k}, got {v}.")

    def weigh(columns):
        if columns.y is None or len(columns.y) != 1:
            raise ValueError("class_weight needs a model with one output and its targets y.")
        y = np.asarray(columns.y[0])
        ranks = [len(spec.shape) for spec in jax.tree.leaves(model.output_specs())] if model.built else [0]
        if y.ndim > 1 and y.shape[-1] > 1 and y.ndim >= ranks[0]:
            classes = np.argmax(y, -1)
        else:  # numbers of classes; as many axes as there are but the prediction's last one
            classes = np.round(y[..., 0] if y.ndim > 1 and y.shape[-1] == 1 else y).astype(int)
        values, where = np.unique(classes, return_inverse=True)
        missing = [int(v) for v in values if int(v) not in table]
        if missing:
            raise ValueError(
                f"class_weight has no weight for class {missing[0]}, which is among the targets. "
                f"It has: {', '.join(map(str, sorted(table)))}; the targets have: {', '.join(map(str, values[:20]))}."
            )
        w = np.array([table[int(v)] for v in values], np.float32)[where].reshape(classes.shape)
        if columns.w is not None:
            given = np.asarray(columns.w[0], np.float32)
            w = w * (given.reshape(w.shape) if given.size == w.size else given.reshape(-1, *[1] * (w.ndim - 1)))
        return Columns(columns.x, columns.y, [w])

    return weigh


# --------------------------------------------------------------------------------------------- checks


def _batch_size(model, batch_size, rows, what):
    """Returns the size of a batch: as asked, or as the model's inputs fix it; a large one not far beyond the rows.

    One of the size asked is filled up with rows that count nothing, another size is another program to compile.
    """
    if batch_size is None:
        batch_size = model.fixed_batch or 32
    if (
        isinstance(batch_size, bool)
        or not hasattr(batch_size, "__int__")
        or int(batch_size) != batch_size
        or batch_size < 1
    ):
        raise ValueError(f"{what}: expected batch_size >= 1, got {batch_size!r}.")
    return min(int(batch_size), max(LARGE_BATCH, 1 << (rows - 1).bit_length()))


def _check_lengths(columns, what):
    lengths = [(name, a.shape[0]) for name in "xyw" for a in getattr(columns, name) or []]
    label = {"x": "x", "y": "y", "w": "sample_weight"}
    if len({n for _, n in lengths}) > 1:
        shown = ", ".join(f"{label[name]} has {n}" for name, n in lengths)
        raise ValueError(f"{what}: all arrays need the same number of rows: {shown}.")
    if not lengths or lengths[0][1] == 0:
        raise ValueError(f"{what}: the data are empty: x has 0 rows.")


def check(model, source, columns, what, objectives):
    """Looks at model, data and objectives together, on the host, before anything is compiled.

    Of an iterable of batches it looks at the first one now, and at each when it is read.
    """
    whole = source.whole if source.in_memory else columns
    _check_inputs(model, whole, what)
    own = model.steps_itself("train" if what in ("fit", "train_on_batch") else "test")
    if objectives is not None and not own:
        losses = [g.loss for g in objectives]
        if what in ("fit", "train_on_batch") and not (any(losses) or model.has_inner_losses() or model.computes_loss):
            raise ValueError(
                f"{model.label}: there is nothing to minimize: compile() was given no loss. "
                f"For example compile(optimizer, loss='mse')."
            )
        for name, arrays in (("x", whole.x), ("y", whole.y or [])):
            for a in arrays:
                if source.in_memory and _has_nan(a):
                    warnings.warn(
                        f"{what}: {name} contains NaN or infinity; the loss will be NaN too. Look for missing values: "
                        f"np.isnan({name}).sum(), then fill or drop those rows.",
                        stacklevel=4,
                    )
        _check_weights(whole, what)
        _check_targets(model, whole, what, losses)
        _warn_of_single_softmax(model)
    if isinstance(source, BatchSource):
        source.check = lambda batch: _check_batch(model, batch, what, None if own else objectives)
        if objectives is not None and not own:
            try:
                _check_finite(columns)
            except ValueError as err:
                raise ValueError(f"{source.name}, batch 0: {err}") from None


def _check_inputs(model, columns, what):
    specs = model.program_specs()
    names = model.input_names if model.host is None else [s.node.layer.name for s in specs]
    _check_shapes(model, specs, columns.x, names, what)
    check_values(model, columns.x)


def _check_shapes(model, specs, arrays, names, what):
    for symbol, a, place in zip(specs, arrays, names, strict=False):
        if is_absent(symbol, a.shape):
            continue
        want = tuple(symbol.shape)
        got = tuple(a.shape)
        fits = len(want) == len(got) and all(w is None or w == g for w, g in zip(want[1:], got[1:], strict=True))
        if not fits:
            hint = ""
            if len(got) == len(want) - 1:
                hint = " Is an axis missing? x[..., None] adds a channel axis, x[None] a batch axis."
            raise ValueError(
                f"{model.label}: expected {place!r} of shape {want} (the batch axis first), "
                f"got an array of shape {got} in {what}.{hint}"
            )


def _check_targets(model, columns, what, losses):
    if any(loss is not None for loss in losses) and columns.y is None:
        raise ValueError(f"{what}: the model was compiled with a loss, but there are no targets: y is None.")
    specs = jax.tree.leaves(model.output_specs())
    for loss, spec, y in zip(losses, specs, columns.y or [], strict=False):
        if loss is not None:
            losses_lib.check_targets(loss, np.asarray(y), tuple(spec.shape))


def _check_batch(model, columns, what, objectives):
    """Looks at one batch of an iterable."""
    _check_lengths(columns, what)
    _check_inputs(model, columns, what)
    if objectives is not None:
        _check_finite(columns)
        _check_weights(columns, what)
        _check_targets(model, columns, what, [g.loss for g in objectives])


def _check_weights(columns, what):
    for w in columns.w or []:
        w = np.asarray(w)
        if w.dtype.kind == "f" and np.isnan(w.sum()) and (bad := np.isnan(w)).any():
            raise ValueError(f"{what}: sample_weight has NaN at {np.argwhere(bad)[0].tolist()}. 0 leaves a row out.")
        if w.dtype.kind in "fi" and w.size and w.min() < 0:
            warnings.warn(
                f"{what}: sample_weight has negative values (down to {w.min():.3g}); such rows teach the opposite.",
                stacklevel=5,
            )


def _check_finite(columns):
    for name, arrays in (("x", columns.x), ("y", columns.y or [])):
        for i, a in enumerate(arrays):
            if _has_nan(a):
                place = f"{name}[{i}]" if len(arrays) > 1 else name
                raise ValueError(
                    f"{place} contains NaN or infinity. Fill or drop those rows: np.isnan({place}) finds them."
                )


def check_values(model, xs):
    """Lets the layers that take the inputs look at their values, as Embedding does at its indices."""
    for layer, i in model.input_consumers():
        if hasattr(layer, "check_values"):
            layer.check_values(np.asarray(xs[i]))


def _has_nan(a):
    a = np.asarray(a)
    if a.dtype.kind != "f" or not a.size:
        return False
    with np.errstate(all="ignore"):
        return not np.isfinite(a.sum(dtype=np.float32)) and not np.isfinite(a).all()


def _warn_of_single_softmax(model):
    for layer in model.own_and_inner():
        activation = getattr(layer, "activation", None)
        if getattr(activation, "__name__", "") == "softmax" and getattr(layer, "units", 0) == 1:
            warnings.warn(
                f"{layer.label} applies softmax to a single unit, which is always 1: nothing can be learned. "
                f"Use activation='sigmoid' with binary_crossentropy, or one unit per class.",
                stacklevel=5,
            )
