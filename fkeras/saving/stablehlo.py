"""Models as StableHLO: programs that JAX alone runs, without this package, on the CPU, on NVIDIA's GPUs and TPUs.

    program = jax.export.deserialize(bytearray(pathlib.Path("model.stablehlo").read_bytes()))
    y = program.call(x)

JAX's guarantee for such files: a version of JAX up to 6 months newer than the one that wrote a file reads it, and one
up to 3 weeks older (https://docs.jax.dev/en/latest/export/export.html, "Compatibility guarantees"). For longer than
that keep the model itself, as .keras or .h5, and export anew.
"""

import os

import jax
import numpy as np
from jax import export

from fkeras.core import paths
from fkeras.data import feed
from fkeras.layers.kernels.convolution import formulation
from fkeras.saving.tracing import check_no_text, explained, forward_of, free_inputs

PLATFORMS = ("cpu", "cuda", "tpu")


def write_stablehlo(model, path, step="predict", data=None, platforms=PLATFORMS, overwrite=True):
    """Writes a model's inference or its training step as StableHLO, with a batch size that is free.

    "predict" is a program x -> outputs; the weights are in it. "train" is a program

        state, logs = program.call(state, x, y, sample_weight)

    `state` is a dict of arrays {"params/dense/kernel": ...}; the one to begin with is written beside it, as
    `path`.npz. x, y and sample_weight have the form that `fit` takes: one array, or a list of them. Sample weights are
    float32 [B], ones where nothing else is meant. logs: {"loss": ..., metrics of this and all steps before}.

    Args:
        model: A built model; for "train" a compiled one.
        path: File.
        step: "predict" or "train".
        data: For "train": (x, y), one small batch whose shapes (but for the batch size) and dtypes the program takes.
        platforms: Of "cpu", "cuda", "rocm", "tpu"; one program serves them all.
        overwrite: False refuses to replace an existing file.

    Raises:
        ValueError: The step is unknown, or data is missing, or a size has to be known.
    """
    if step == "predict":
        function, specs = _inference(model)
    elif step == "train":
        if data is None:
            raise ValueError(f"{model.label}: export of the training step needs data=(x, y), a batch of the shapes.")
        function, state, specs = _training(model, data)
        with paths.replacing(f"{os.fspath(path)}.npz", overwrite) as fresh, open(fresh, "wb") as file:
            np.savez(file, **{name: np.asarray(a) for name, a in state.items()})
    else:
        raise ValueError(f"{model.label}: export: expected step 'predict' or 'train', got {step!r}.")
    data = _serialized(export.export(jax.jit(function), platforms=platforms)(*specs))
    with paths.replacing(path, overwrite) as fresh, open(fresh, "wb") as file:
        file.write(data)


def _serialized(program):
    try:
        return program.serialize()
    except ImportError as err:
        raise ImportError(
            "JAX writes StableHLO with the package flatbuffers, which is not installed: pip install fkeras[stablehlo]."
        ) from err


def _inference(model):
    specs = free_inputs(model, "export it")
    params, state = model.gather()
    forward = forward_of(model)
    return lambda x: forward(params, state, x)[0], (specs,)


def _training(model, data):
    """Returns (the step, the state it begins with, what it is called with)."""
    model._require_compiled("export")
    check_no_text(model, "export it")
    source = feed.single_batch(model, *data, *[None] * (4 - len(data)))
    model._ready(source, "export")
    columns = source.peek()
    program, _ = model._program("train", model._objectives(columns))
    begin = model._train_state(program, model._empty_metrics(program, source, True))
    leaves, form = jax.tree_util.tree_flatten_with_path(begin)
    names = ["/".join(str(getattr(k, "key", getattr(k, "name", k))) for k in path) for path, _ in leaves]
    outputs = model.output_count()

    def step(state, x, y, sample_weight):
        ts = jax.tree.unflatten(form, [state[name] for name in names])
        lists = [v if isinstance(v, (list, tuple)) else [v] for v in (y, sample_weight)]
        with explained(), formulation("lax"):
            ts = program.train_step(ts, {"x": x, "y": lists[0], "w": lists[1], "rows": None})
        return dict(zip(names, jax.tree.leaves(ts), strict=True)), program.logs(ts.metrics)

    scope = export.SymbolicScope()

    def free(a):
        shape = ",".join(["b", *map(str, a.shape[1:])])
        return jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope), a.dtype)

    def given(arrays):
        specs = [free(a) for a in arrays]
        return specs[0] if len(specs) == 1 else specs

    x = model._input_tree([free(a) for a in columns.x])
    weights = given([np.ones(1, np.float32)] * outputs)
    state = {name: jax.numpy.asarray(a) for name, (_, a) in zip(names, leaves, strict=True)}
    about = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), state)
    return step, state, (about, x, given(columns.y or []), weights)
