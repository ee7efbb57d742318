"""What an op is: one function under Keras's name, on arrays computed, on symbols recorded.

Every function of `fkeras.ops` is an entry of `OPS`, made by a row or by the decorator `op`. An entry knows the function
on arrays, its signature, which arguments Keras keeps as settings of the operation and which ones an operation is called
on, and the class by which Keras's files name it.
"""

import ast
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.docstrings import completed
from fkeras.core.settings import nearest
from fkeras.core.symbol import Symbol

OPS: dict[str, "Op"] = {}  # name -> Op; those of `ops.image` are called "image.resize"
_BY_CLASS: dict[tuple[str, str], "Op"] = {}  # (module of Keras, class) -> Op

AS_IS, FLOAT = "as is", "float"


class Op:
    """One entry of the table.

    Args:
        name: As in `fkeras.ops`.
        function: Takes arrays, in the order of `signature`.
        signature: `inspect.Signature` of the public function.
        settings: Names of the arguments that are settings of Keras's operation.
        home: Module of Keras that has the operation: "numpy", "nn", "core", "math", "linalg", "image", "einops".
        keras: Class of the operation in Keras, or None where Keras records none.
    """

    def __init__(self, name, function, signature, settings, home, keras):
        self.name, self.function, self.signature, self.settings = name, function, signature, settings
        self.home, self.keras, self.public = home, keras, None
        self.raw = frozenset()  # arguments that are no arrays, or lists of them: they stay as they are
        self.recorded = lambda settings: settings  # how Keras's operation keeps the settings

    def bind(self, args, kwargs):
        """Returns the arguments given, bound. Raises TypeError naming the op."""
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as err:
            hint = nearest(
                next((k for k in kwargs if k not in self.signature.parameters), ""), self.signature.parameters
            )
            raise TypeError(f"ops.{self.name}{self.signature}: {err}.{hint}") from None

    def __call__(self, *args, **kwargs):
        return self.public(*args, **kwargs)

    def __repr__(self):
        return f"<op {self.name}{self.signature}>"


def has_symbol(value):
    """Whether a symbol is anywhere in nested lists, tuples and dicts."""
    if isinstance(value, (list, tuple)):
        return any(map(has_symbol, value))
    if isinstance(value, dict):
        return any(map(has_symbol, value.values()))
    return isinstance(value, Symbol)


def plain(value):
    """Returns a setting as Python's own number where it is NumPy's; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


# ---------------------------------------------------------------------------------------------- arrays


def as_array(x):
    """Returns what JAX's functions take: lists, variables and tensors of other libraries become arrays.

    Python's numbers stay as they are: they are weak, and take the dtype of what they meet.
    """
    if isinstance(x, (jax.Array, np.ndarray, np.generic, bool, int, float, complex)) or x is None:
        return x
    if isinstance(x, (list, tuple)):
        return jnp.asarray([np.asarray(v) if hasattr(v, "__jax_array__") else v for v in x])
    return jnp.asarray(x)


def standard_dtype(dtype):
    """Returns the name of a dtype: None is floatx, Python's types are JAX's, 64 bits are 32 unless JAX has them.

    Raises:
        ValueError: It is no dtype.
    """
    if dtype is None:
        return dtypes.floatx()
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or getattr(dtype, "__name__", None)
    if name == "int":
        return "int32"
    if name == "float":
        return "float32"
    try:
        return jax.dtypes.canonicalize_dtype(jnp.dtype(name)).name
    except TypeError:
        raise ValueError(f"Unknown dtype {dtype!r}.{nearest(str(name), _DTYPES)}") from None


_PYTHON = {bool: "bool", int: "int32", float: "float32", complex: "complex64"}
_DTYPES = (
    "bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "bfloat16", "float32", "complex64"
)  # fmt: skip


def result_type(*types):
    """Returns the name of the dtype that values of these dtypes have together; `int` and `float` are weak.

    Args:
        types: Dtypes, their names, Python's types, or None for floatx.

    Example:
        >>> result_type("bfloat16", float), result_type("int8", float), result_type("int32", "float16")
        ('bfloat16', 'float32', 'float16')

    Reference:
        The promotion lattice of JAX, which is Keras's.
    """
    if not types:
        return dtypes.floatx()
    weak = [t for t in types if isinstance(t, type) and t in (int, float, complex)]
    strong = [standard_dtype(t) for t in types if not (isinstance(t, type) and t in weak)]
    found = jnp.result_type(*(jnp.dtype(t) for t in strong), *weak)
    if (
        float in weak
        and not any("float" in t or "complex" in t for t in strong)
        and jnp.issubdtype(found, jnp.floating)
    ):
        return dtypes.floatx()
    return jax.dtypes.canonicalize_dtype(found).name


def dtype_of(x):
    """Returns the dtype of an array, or the Python type of a number, which is weak."""
    return type(x) if isinstance(x, (bool, int, float, complex)) else x.dtype


def to_float(*arrays):
    """Returns the arrays in the float dtype that they have together: integers alone become floatx."""
    dtype = result_type(*(dtype_of(a) for a in arrays if a is not None), float)
    cast = [None if a is None else jnp.asarray(a, dtype) for a in arrays]
    return cast if len(cast) > 1 else cast[0]


# ---------------------------------------------------------------------------------------------- making


def op(home, keras=None, settings="", calls="", lists="", raw="", name=None, converts=True, records=True):
    """Decorator: makes a public op of a function on arrays.

    Args:
        home, keras, settings: As of `Op`; `settings` as words in one string.
        calls: Instead of `settings`, the arguments that are none.
        lists: Arguments that are lists or tuples of arrays: each element is converted.
        raw: Arguments that are no arrays.
        name: Public name where the function's own is one of Python's: `slice_` is "slice".
        converts: False leaves all arguments as they are.
        records: False answers for symbols at once, where others record a call.
    """

    def decorate(function):
        public_name = name or function.__name__.rstrip("_")
        signature = inspect.signature(function)
        kinds = {n: p.kind for n, p in signature.parameters.items()}
        kept = tuple(n for n in kinds if n not in calls.split()) if calls else tuple(settings.split())
        fixed = {*kept, *raw.split(), *(n for n, kind in kinds.items() if kind is inspect.Parameter.VAR_KEYWORD)}
        listed = {*lists.split(), *(n for n, kind in kinds.items() if kind is inspect.Parameter.VAR_POSITIONAL)} - fixed
        entry = Op(public_name, None, signature, kept, home, keras)

        def prepared(key, value):
            if key == "dtype" and value is not None:
                return standard_dtype(value)
            if key in fixed:
                return value
            if key in listed and type(value) in (list, tuple):
                return type(value)(map(as_array, value))
            return as_array(value)

        def compute(*args, **kwargs):
            bound = entry.bind(args, kwargs)
            for key, value in bound.arguments.items():
                bound.arguments[key] = prepared(key, value)
            return function(*bound.args, **bound.kwargs)

        entry.function = compute if converts else function
        entry.raw = frozenset(fixed | listed if converts else kinds)
        return _publish(entry, function.__doc__, records)

    return decorate


def row(home, spec, function, about, keras, kind=AS_IS, source=None):
    """Makes a public op of a function of JAX that is right as it is.

    Args:
        home, keras: As of `Op`.
        spec: The signature with a bar before the settings: "max(x | axis=None, keepdims=False)". Settings are passed by
            name, what stands before the bar by place.
        function: JAX's.
        about: What it computes, one line.
        kind: `FLOAT`: integers are computed as floats. `AS_IS`: JAX's own rule is Keras's.
        source: How the docstring names the function of JAX, where its own name does not tell.
    """
    name, _, rest = spec.rstrip(")").partition("(")
    places, _, settings = rest.partition("|")
    parameters = [_parameter(p) for part in (places, settings) for p in part.split(",") if p.strip()]
    names = tuple(_parameter(p).name for p in settings.split(",") if p.strip())
    entry = Op(name, None, inspect.Signature(parameters), names, home, keras)
    count = len(parameters) - len(names)

    defaults = {p.name: p.default for p in parameters if p.name in names}

    def compute(*args, **kwargs):
        given = defaults
        if kwargs or len(args) != count:
            bound = entry.bind(args, kwargs).arguments
            args = [bound.get(p.name, p.default) for p in parameters[:count]]
            given = {k: _setting(k, bound.get(k, v)) for k, v in defaults.items()}
        args = [as_array(a) for a in args]
        if kind is FLOAT:
            args = to_float(*args) if count > 1 else [to_float(args[0])]
        return function(*args, **given)

    entry.function = compute
    module = getattr(function, "__module__", "") or ""
    known = module.removeprefix("jax._src.").split(".")[0]
    where = source or f"jax.{known if known in ('nn', 'lax') else 'numpy'}.{getattr(function, '__name__', name)}"
    rule = " Integers are computed as floats." if kind is FLOAT else ""
    return _publish(entry, f"{about}\n\n    Source: `{where}`, by Keras's names and dtypes.{rule}\n    ")


def _setting(name, value):
    if name == "dtype" and value is not None:
        return standard_dtype(value)
    return tuple(value) if isinstance(value, list) else value


def parameters_of(spec):
    """Returns the parameters of a signature as text: "max(x, axis=None)"."""
    inner = spec.partition("(")[2].removesuffix(")")
    return [_parameter(part) for part in inner.split(",") if part.strip()]


def _parameter(text):
    name, _, default = text.strip().partition("=")
    default = ast.literal_eval(default) if default else inspect.Parameter.empty
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _publish(entry, doc, records=True):
    def public(*args, **kwargs):
        if records and (has_symbol(args) or (kwargs and has_symbol(kwargs))):
            return _record(entry, args, kwargs)
        return entry.function(*args, **kwargs)

    public.__signature__, public.__doc__ = entry.signature, completed(doc or "", entry.signature.parameters)
    public.__name__ = public.__qualname__ = entry.name
    public.__module__ = "fkeras.ops.image" if entry.home == "image" else "fkeras.ops"
    entry.public = public
    _register(entry)
    return public


def _register(entry):
    OPS[f"image.{entry.name}" if entry.home == "image" else entry.name] = entry
    if entry.keras:
        _BY_CLASS.setdefault((entry.home, entry.keras), entry)


def other_name(new, old, keras=None, home=None):
    """Registers `new` as another name of the op `old`, recorded under Keras's class `keras`."""
    first = OPS[old]
    entry = Op(new, first.function, first.signature, first.settings, home or first.home, keras or first.keras)
    entry.raw = first.raw
    return _publish(entry, first.public.__doc__)


recorder = None  # function (op, arguments by name) -> symbols: how a graph takes note of a call; set by `layers`


def _record(entry, args, kwargs):
    return recorder(entry, entry.bind(args, kwargs).arguments)


def by_class(name, module=None):
    """Returns the op that Keras's files call by this class (and module), or None."""
    home = (module or "").rsplit(".", 1)[-1]
    if (home, name) in _BY_CLASS:
        return _BY_CLASS[home, name]
    return next((entry for (_, known), entry in _BY_CLASS.items() if known == name), None)


def exported(*homes):
    """Returns {name: function} of the ops of some homes."""
    return {entry.name: entry.public for entry in OPS.values() if entry.home in homes}


@functools.cache
def classes():
    """Returns the names of all classes of operations that Keras's files may name."""
    return frozenset(name for _, name in _BY_CLASS)
