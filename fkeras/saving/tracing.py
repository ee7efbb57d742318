"""A model's computation with sizes that are not known: what is exported."""

import contextlib

import jax
from jax import export

from fkeras.core.dtypes import STRING
from fkeras.layers.contract.context import Context
from fkeras.layers.kernels.convolution import formulation


@contextlib.contextmanager
def explained():
    """Adds to errors within that sizes are not known there."""
    try:
        yield
    except Exception as err:
        err.add_note(
            "While exporting: sizes that may change, such as the batch's, are not numbers there. Code that needs one "
            "(len(x), an `if` on a size) cannot be exported: write x.shape[0] for len(x), or fix sizes in Input(...)."
        )
        raise


def check_no_text(model, what):
    """Raises ValueError for a model that begins with text."""
    if model.host is not None:
        names = ", ".join(repr(s.name) for s in model.inputs if s.dtype == STRING)
        raise ValueError(
            f"{model.label}: cannot {what}: its input {names} is text, which such programs do not read. Export a model "
            f"of what comes behind its text layers, and call those on the host."
        )


def free_inputs(model, what):
    """Returns the tree of the model's inputs as `jax.ShapeDtypeStruct`s; sizes that are None have names.

    All inputs have the batch size b; any other unknown size is a free one of its own.

    Raises:
        ValueError: The model's input shape is not known.
    """
    model._require_built(what)
    symbols = model.inputs
    if symbols is None:
        raise ValueError(f"{model.label}: cannot {what}: its input shape is not known. Call it on data once.")
    check_no_text(model, what)
    names, shapes = iter(f"n{i}" for i in range(1 << 30)), []
    for s in symbols:
        shapes.append(
            [
                "b" if s.shape[0] is None else str(s.shape[0]),
                *(next(names) if d is None else str(d) for d in s.shape[1:]),
            ]
        )
    scope = export.SymbolicScope()
    specs = [
        jax.ShapeDtypeStruct(export.symbolic_shape(",".join(shape), scope=scope), s.dtype)
        for shape, s in zip(shapes, symbols, strict=True)
    ]
    return model._input_tree(specs)


def forward_of(model):
    """Returns the pure function (params, state, x) -> (outputs, state) of inference."""

    def forward(params, state, x):
        with explained(), formulation("lax"):  # whole convolutions and poolings, which every platform has
            return model.apply_masked(params, state, x, Context())[:2]

    return forward
