"""Settings as frozen fields, and one registry mechanism for every family of named things.

A class that derives from `Configured` writes its settings as annotated class attributes. Its
constructor, signature, `get_config`, `from_config` and `repr` come from those fields, here, once:

    class Scale(Configured):
        factor: float                                    # required, positional
        activation: Fn = setting(activations, "linear")  # converted by a registry
        name: str = setting(default=None, keyword=True)  # keyword only

What a class inherits comes after its own settings, by position. `_here: ClassVar[Base]` between them puts those of
that base there.

A `Registry` turns what users write (a string in any case or underscore style, a config dict, a class, an
object, a function) into the object that is meant, and answers a typo with the nearest names.
"""

import contextlib
import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, dataclass_transform, get_args

import numpy as np

from fkeras.core import messages
from fkeras.core.docstrings import ClassDoc
from fkeras.core.keras_names import lacking

REQUIRED = inspect.Parameter.empty

# --------------------------------------------------------------------------------------------- names


def nearest(name, known):
    """Returns " Did you mean ...?" for the known names closest to `name`, or an empty string."""
    close = _close(name, known, 3, 0.6)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def some(name, known, n=5):
    """Returns up to `n` of the known names for a message, in their order: the closest to `name` where there are more.

    Example:
        >>> some("rleu", ["elu", "relu", "softmax", "tanh"], n=2)
        'elu, relu, ...'
    """
    if len(known) <= n:
        return ", ".join(map(str, known))
    close = _close(name, known, n, 0.0)
    return ", ".join([*(str(k) for k in known if str(k) in close), "..."])


def _close(name, known, n, cutoff):
    name, spellings = str(name), {}
    for one in map(str, known):
        spellings.setdefault(_fold(one), []).append(one)
    found = difflib.get_close_matches(_fold(name), spellings, n=n, cutoff=cutoff)
    return [max(spellings[f], key=lambda one: difflib.SequenceMatcher(None, one, name).ratio()) for f in found]


def shortened(value, length=60):
    """Returns the `repr` of a value, cut where it is longer than fits a message."""
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."


def snake_case(name):
    """Keras's snake case of a class name: Conv2D -> conv2d, BatchNormalization -> batch_normalization."""
    out = ""
    for before, char, after in zip(" " + name, name, name[1:] + " ", strict=False):
        starts_word = char.isupper() and (before.islower() or (after.islower() and before.isalnum()))
        out += ("_" if starts_word and out else "") + char.lower()
    return out


def _fold(name):
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


# --------------------------------------------------------------------------- the user's own objects

_custom: dict[str, Any] = {}  # by registered name ("Package>Name") and by plain name


def get_custom_objects():
    """Returns the live dict of globally registered custom objects, as Keras 3."""
    return _custom


@contextlib.contextmanager
def custom_object_scope(*objects):
    """Within the `with`, the names in these dicts resolve to the given classes and functions.

    Example:
        >>> with custom_object_scope({"double": lambda x: 2 * x}):
        ...     activations.get("double")(1.5)
        3.0
    """
    before = dict(_custom)
    for table in objects:
        _custom.update(table or {})
    try:
        yield
    finally:
        _custom.clear()
        _custom.update(before)


def register_keras_serializable(package="Custom", name=None):
    """Decorator: registers a class or function under "package>name", so that files can name it.

    Example:
        >>> @register_keras_serializable(package="mine")
        ... def double(x):
        ...     return 2 * x
        >>> activations.get("mine>double") is double
        True
    """

    def register(obj):
        full = f"{package}>{name or obj.__name__}"
        if inspect.isclass(obj) and not hasattr(obj, "get_config"):
            raise ValueError(f"Cannot register {obj.__name__}: it has no get_config() to be saved by.")
        _custom[full] = obj
        return obj

    return register


def get_registered_name(obj):
    """Returns "package>name" for a registered class or function, else its plain name."""
    for full, known in _custom.items():
        if known is obj and ">" in full:
            return full
    return obj.__name__


def get_registered_object(name, custom_objects=None):
    """Returns the custom object of that name, or None."""
    table = {**_custom, **(custom_objects or {})}
    return table.get(name) or next((v for k, v in table.items() if k.split(">")[-1] == name), None)


# ------------------------------------------------------------------------------------------ registry


class Registry:
    """The names of one family (activations, layers, ...) and what they stand for.

    Args:
        kind: The family in the singular, for messages: "activation".
        module: Keras's module path for configs: "keras.activations".
    """

    all: list["Registry"] = []

    def __init__(self, kind, module):
        self.kind, self.module = kind, module
        self.entries = {}  # name as written -> object
        self._folded = {}  # folded name -> object
        Registry.all.append(self)

    def register(self, obj=None, *aliases, name=None):
        """Adds a class or function under its own name and `aliases`; usable as a bare decorator."""
        if isinstance(obj, str) or obj is None:  # @family.register("alias", ...)
            names = aliases if obj is None else (obj, *aliases)
            return lambda it: self.register(it, *names, name=name)
        for known in (name or obj.__name__, *aliases):
            self.entries[known] = self._folded[_fold(known)] = obj
        return obj

    def alias(self, **names):
        """Adds other names for registered things: `layers.alias(MaxPool2D="MaxPooling2D")`."""
        for new, old in names.items():
            self.entries[new] = self._folded[_fold(new)] = self.lookup(old)

    def find(self, name):
        """Returns the entry called `name`, or None.

        Custom objects of that very name come first, those registered in a package, "mine>name", last.
        """
        for known in (_custom.get(name), self.entries.get(name), self._folded.get(_fold(name))):
            if known is not None:
                return known
        return get_registered_object(name)

    def lookup(self, name):
        """Returns the entry called `name`. Raises ValueError naming the nearest known names."""
        entry = self.find(name)
        if entry is None:
            close = lacking(self.module.partition(".")[2], name) + nearest(name, self.entries)
            raise ValueError(
                f"Unknown {self.kind} {shortened(name)}.{close} For one of your own, pass the object or name it in "
                f"`custom_object_scope`.{'' if close else f' Known names: {some(name, self.entries)}'}"
            )
        return entry

    def get(self, identifier):
        """Returns what `identifier` means: None, a name, a config dict, a class, an object, a function.

        Args:
            identifier: One of these; None stays None.

        Raises:
            ValueError: No such name. TypeError: not something this family can be named by.
        """
        if identifier is None:
            return None
        if isinstance(identifier, str):
            entry = self.lookup(identifier)
            return entry() if inspect.isclass(entry) else entry
        if isinstance(identifier, dict):
            return self.from_config(identifier)
        if inspect.isclass(identifier):
            return identifier()
        if callable(identifier) or isinstance(identifier, Configured):
            return identifier
        raise TypeError(
            f"Cannot read {shortened(identifier)} as {_a(self.kind)}: expected a name, a function, an object or a "
            f"config dict, got {type(identifier).__name__}."
        )

    def from_config(self, config):
        """Builds the object that a config dict describes, in Keras 2's or Keras 3's form."""
        name, inner = config.get("class_name"), config.get("config")
        if not isinstance(name, str):
            family = _a(self.kind)
            raise ValueError(f"Cannot read a config dict as {family}: it has no 'class_name': {shortened(config)}.")
        if name == "function":  # Keras 3 writes a function as {"class_name": "function", "config": "relu"}
            return self.lookup(inner)
        registered = config.get("registered_name")
        entry = (registered and get_registered_object(registered)) or self.lookup(name)
        if not inspect.isclass(entry):
            return entry
        number = config.get("shared_object_id") if _shared is not None and self.kind == "layer" else None
        if number in (_shared or ()):
            return _shared[number]
        with messages.old_spellings_expected():
            made = entry.from_config(inner or {}) if hasattr(entry, "from_config") else entry(**(inner or {}))
        if isinstance(number, int):
            _shared[number] = made
        return made

    def name_of(self, obj):
        """Returns the name an entry was registered under, or None."""
        own = getattr(obj, "__name__", None)
        if self.entries.get(own) is obj:
            return own
        return next((name for name, entry in self.entries.items() if entry is obj), None)

    def serialize(self, obj):
        """Returns what configs hold for `obj`: a name for a function, a dict for an object."""
        return serialize(obj)

    def __call__(self, identifier):
        return self.get(identifier)


def _a(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


_shared: dict | None = None  # while a model is read or written: its layers and their numbers


@contextlib.contextmanager
def sharing():
    """Within the outermost `with`, layers are written with a number, "shared_object_id", and read once a number.

    Yields:
        True for the outermost.
    """
    global _shared
    before = _shared
    _shared = {} if before is None else before
    try:
        yield before is None
    finally:
        _shared = before


def serialize(value):
    """Returns `value` in JSON's types, in Keras 3's forms. A config of a config: objects become dicts."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Configured):
        cls = type(value)
        family = next((r for r in Registry.all if r.entries.get(cls.__name__) is cls), None)
        config = {
            "module": getattr(cls, "keras_module", family.module) if family else None,
            "class_name": cls.__name__,
            "config": serialize(value.get_config()),
            "registered_name": None if family else get_registered_name(cls),
        }
        if _shared is not None and hasattr(value, "own_and_inner"):
            config["shared_object_id"] = _shared.setdefault(id(value), (len(_shared), value))[0]
        return config
    if isinstance(value, dict):
        return {str(k): serialize(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return (tuple if isinstance(value, tuple) else list)(serialize(v) for v in value)
    if isinstance(value, np.generic) or (hasattr(value, "shape") and value.shape == ()):
        return np.asarray(value).item()
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    if hasattr(value, "get_config"):  # an object of the user's own, not a Configured
        return {
            "module": None,
            "class_name": type(value).__name__,
            "config": serialize(value.get_config()),
            "registered_name": get_registered_name(type(value)),
        }
    for name, (kind, write, _) in _PLAIN.items():
        if isinstance(value, kind):
            return {"class_name": name, "config": {k: serialize(v) for k, v in write(value).items()}}
    if callable(value):
        name = next((n for r in Registry.all if (n := r.name_of(value))), None)
        return name or get_registered_name(value)
    raise TypeError(f"Cannot write {value!r} ({type(value).__name__}) into a config.")


# Python's values that JSON does not know: Keras's name -> (kind, how it is written, how it is read).
_PLAIN = {
    "__ellipsis__": (type(...), lambda v: {}, lambda: ...),
    "__bytes__": (bytes, lambda v: {"value": v.decode()}, lambda value: value.encode()),
    "__slice__": (slice, lambda v: {"start": v.start, "stop": v.stop, "step": v.step}, slice),
}


def deserialize(config, custom_objects=None):
    """Builds the object that `config` describes, whichever family it belongs to; other values pass through."""
    with custom_object_scope(custom_objects or {}):
        if isinstance(config, (list, tuple)):
            return (tuple if isinstance(config, tuple) else list)(deserialize(c) for c in config)
        if not isinstance(config, dict):
            return config
        if not isinstance(config.get("class_name"), str) or "config" not in config:
            return {k: deserialize(v) for k, v in config.items()}
        if config["class_name"] in _PLAIN:
            given = deserialize(config["config"])
            read = _PLAIN[config["class_name"]][2]
            return read(*given.values()) if read is slice else read(**given)
        name = config["config"] if config["class_name"] == "function" else config["class_name"]
        families = sorted(Registry.all, key=lambda r: r.module != config.get("module"))
        family = next((r for r in families if name in r.entries), families[0])
        return family.from_config(config)


# ------------------------------------------------------------------------------------------ settings


def is_foreign(*values):
    """True if any of these functions, classes or objects that can be called is the user's: not this package's or JAX's.

    Example:
        >>> import json
        >>> is_foreign(jnp.tanh, None, 3), is_foreign(json.dumps)
        (False, True)
    """

    def foreign(value):
        if not callable(value):
            return False
        value = getattr(value, "func", value)  # of a functools.partial
        module = getattr(value, "__module__", None) or type(value).__module__
        return module.split(".")[0] not in ("fkeras", "jax", "jaxlib", "numpy", "builtins")

    return any(map(foreign, values))


class Setting:
    """One field of a `Configured` class; see `setting`."""

    def __init__(self, default, convert, keyword, saved):
        self.default, self.convert, self.keyword, self.saved = default, convert, keyword, saved
        self.name = None

    def resolve(self, owner, value):
        if self.convert is None:
            return value
        try:
            return self.convert(value)
        except (TypeError, ValueError) as err:
            raise type(err)(f"{owner.__name__}({self.name}={value!r}): {err}") from None


def setting(convert: Any = None, default: Any = REQUIRED, *, keyword=False, saved=True) -> Any:
    """Declares a field that is converted, keyword-only, or kept out of configs.

    Args:
        convert: A registry, a module with `get`, or a function value -> value; applied to defaults too.
        default: Value when the argument is not given; without one the argument is required.
        keyword: The argument can only be given by name.
        saved: `get_config` includes it.
    """
    convert = getattr(convert, "get", convert) if inspect.ismodule(convert) else convert
    return Setting(default, convert, keyword, saved)


# Other spellings of arguments, filled by `fkeras.compat`: class name -> function(class, kwargs) -> kwargs.
OLD_SPELLINGS: dict[str, Callable[[type, dict], dict]] = {}
# Positions that meant other things, likewise: class name -> function(class, args, kwargs) -> args.
OLD_POSITIONS: dict[str, Callable[[type, tuple, dict], tuple]] = {}
SILENT: set[str] = set()  # arguments of those that are translated without a word


class _Signature:
    """Makes a class's `__signature__` of its fields when somebody asks for it: `help`, `inspect`, editors."""

    def __get__(self, instance, cls):
        if instance is not None:
            raise AttributeError("__signature__")
        if cls.__init__ is Configured.__init__:
            return _signature(cls)
        return inspect.Signature(list(inspect.signature(cls.__init__).parameters.values())[1:])


@dataclass_transform(field_specifiers=(setting,))
class Configured:
    """Base of everything that is configured: settings in, settings out, nothing else remembered."""

    _fields: dict[str, Setting] = {}
    _sealed = False
    __signature__ = _Signature()

    def __init_subclass__(cls, kw_only=False, **kwargs):
        """`class Group(Configured, kw_only=True)`: editors, which put a base's settings first, name these ones."""
        super().__init_subclass__(**kwargs)
        own = {}
        for name, kind in inspect.get_annotations(cls).items():
            if name.startswith("_"):
                base = next(iter(get_args(kind)), None)  # ClassVar[Base]: here stand, by position, those of a base
                own |= base._fields if base in cls.__mro__ else {}
                continue
            field = cls.__dict__.get(name, REQUIRED)
            if not isinstance(field, Setting):
                field = Setting(field, None, False, True)
            field.name = name
            own[name] = field
            if name in cls.__dict__:
                delattr(cls, name)  # instances hold the values; a default on the class would hide mistakes
        if cls.__module__.startswith("fkeras.") and cls.__dict__.get("__doc__"):  # a user's own stays as it is written
            cls.__doc__ = ClassDoc(cls.__doc__)
        cls._own_fields = own
        cls._fields = dict(own)  # a class's own settings come first, then what it inherits: Keras's positions
        for base in cls.__mro__[1:]:
            for name, field in base.__dict__.get("_own_fields", {}).items():
                cls._fields.setdefault(name, field)

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        if cls.__init__ is not Configured.__init__:  # a class with a constructor of its own: remember the call,
            object.__setattr__(self, "_call", (args, kwargs))  # so that its config needs no get_config
        return self

    def __init__(self, *args, **kwargs):
        cls = type(self)
        values = _bind(cls, args, kwargs)
        if values.get("name", "") is None:
            values["name"] = cls.default_name()
        for name, field in cls._fields.items():
            object.__setattr__(self, name, field.resolve(cls, values[name]))
        self.check()
        object.__setattr__(self, "_sealed", True)

    @classmethod
    def default_name(cls):
        """The name an object takes that was given none."""
        return snake_case(cls.__name__)

    def check(self):
        """Looks at settings together at construction. Raises ValueError for a combination that cannot be."""

    def __setattr__(self, name, value):
        if self._sealed and name in type(self)._fields:
            raise AttributeError(
                f"{type(self).__name__}.{name} is fixed when the object is made. "
                f"Make a new one: {type(self).__name__}.from_config({{**old.get_config(), {name!r}: ...}})."
            )
        object.__setattr__(self, name, value)

    def get_config(self):
        """Returns the settings in JSON's types; `from_config` makes an equal object of them."""
        config = {n: serialize(getattr(self, n)) for n, f in self._fields.items() if f.saved and hasattr(self, n)}
        if call := self.__dict__.get("_call"):
            bound = inspect.signature(type(self).__init__).bind(self, *call[0], **call[1])
            bound.apply_defaults()
            kinds = inspect.signature(type(self).__init__).parameters
            for name, value in list(bound.arguments.items())[1:]:
                if kinds[name].kind is inspect.Parameter.VAR_KEYWORD:
                    config.update({k: serialize(v) for k, v in value.items() if k not in self._fields})
                elif kinds[name].kind is not inspect.Parameter.VAR_POSITIONAL and name not in self._fields:
                    config[name] = serialize(value)
        return config

    @classmethod
    def from_config(cls, config):
        """Makes an object of the settings in `config`, as `get_config` wrote them."""
        if cls.__init__ is not Configured.__init__:
            return cls(**{k: v if k in cls._fields else deserialize(v) for k, v in config.items()})
        return cls(**config)

    def __repr__(self):
        shown = []
        for name, field in self._fields.items():
            value = self.__dict__.get(name)
            if field.saved and value is not None:
                text = serialize(value) if callable(value) and not isinstance(value, Configured) else value
                default = None if field.default is REQUIRED else field.resolve(type(self), field.default)
                if default is None or serialize(default) != serialize(value):
                    shown.append(f"{name}={text!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _signature(cls):
    positional, keyword = [], []
    for name, field in cls._fields.items():
        if field.keyword:
            keyword.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default))
        else:
            positional.append(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.default))
    # Fields without a default come first among the positional ones only when they are declared so; a required field
    # after an optional one is keyword-only in effect, which `inspect` spells by its kind.
    seen_default = False
    for i, p in enumerate(positional):
        seen_default = seen_default or p.default is not REQUIRED
        if seen_default and p.default is REQUIRED:
            positional[i] = p.replace(default=None)
    return inspect.Signature(positional + keyword)


def _bind(cls, args, kwargs):
    """Returns {field: value} for a call, or raises TypeError saying what is missing, doubled or unknown."""
    fields = cls._fields
    if args and (old := OLD_POSITIONS.get(cls.__name__)):
        args = old(cls, args, kwargs)
    positional = [n for n, f in fields.items() if not f.keyword]
    if len(args) > len(positional):
        raise TypeError(
            f"{cls.__name__} takes at most {len(positional)} positional arguments "
            f"({', '.join(positional[:8])}{', ...' * (len(positional) > 8)}), got {len(args)}: {shortened(args)}."
        )
    values = dict(zip(positional, args, strict=False))
    if any(name not in fields for name in kwargs):
        doubled = values.keys() & kwargs.keys()
        if not doubled:
            kwargs, values = {**values, **kwargs}, {}
        kwargs = todays(cls.__name__, (b.__name__ for b in cls.__mro__), kwargs, cls)
    for name, value in kwargs.items():
        if name not in fields:
            raise TypeError(
                f"{cls.__name__} has no argument {shortened(name)}.{nearest(name, fields)} "
                f"Its arguments: {some(name, fields)}"
            )
        if name in values:
            raise TypeError(f"{cls.__name__} got {name!r} twice: by position and by name.")
        values[name] = value
    missing = [n for n, f in fields.items() if n not in values and f.default is REQUIRED]
    if missing:
        asked = ", ".join(n for n, f in fields.items() if f.default is REQUIRED)
        raise TypeError(f"{cls.__name__} needs {' and '.join(map(repr, missing))}: {cls.__name__}({asked}, ...).")
    for name, field in fields.items():
        values.setdefault(name, field.default)
    return values


def todays(what, names, kwargs, cls=None):
    """Returns keyword arguments in today's spelling; says which were old.

    Args:
        what: Name of what is called, for the message.
        names: Where `OLD_SPELLINGS` may know them: of the class and its bases, or "Model.fit".
    """
    new = dict(kwargs)
    for name in names:
        if old := OLD_SPELLINGS.get(name):
            new = old(cls, new)
    gone = [k for k in kwargs if k not in new and k not in SILENT]
    came = [k for k in new if (k not in kwargs or new[k] is not kwargs[k]) and k != "batch_shape"]
    if gone:
        instead = f"{what}({', '.join(f'{k}=' for k in came)})" if came else None
        messages.old_spelling(f"{what}({', '.join(f'{k}=' for k in gone)})", instead)
    return new


def named_arguments(function, what=None):
    """Decorator: an old keyword argument is translated, a misspelt one answered with the nearest names.

    Args:
        what: Name in messages and in `OLD_SPELLINGS`; None for that of a method of models.
    """
    known = [n for n in inspect.signature(function).parameters if n != "self"]
    old, what = what or f"Model.{function.__name__}", what or function.__name__

    @functools.wraps(function)
    def call(*args, **kwargs):
        if any(name not in known for name in kwargs):
            kwargs = todays(what, [old], kwargs)
        for name in kwargs:
            if name not in known:
                raise TypeError(
                    f"{what}() has no argument {name!r}.{nearest(name, known)} Its arguments: {some(name, known)}"
                )
        return function(*args, **kwargs)

    return call


# ---------------------------------------------------------------------------------------- converters


def flag(value):
    """Converter: True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"expected True or False, got {value!r}.")
    return bool(value)


def positive_int(value):
    """Converter: an int of at least 1 (a whole float counts)."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__int__") or int(value) != value or value < 1:
        raise ValueError(f"expected a positive integer, got {value!r}.")
    return int(value)


def fraction(value):
    """Converter: a float in [0, 1)."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or not 0 <= float(value) < 1:
        raise ValueError(f"expected a number in [0, 1): the fraction that is dropped, got {value!r}.")
    return float(value)


def at_least_zero(value):
    """Converter: a float of 0 or more."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or not float(value) >= 0:
        raise ValueError(f"expected a number >= 0, got {value!r}.")
    return float(value)


def seed_or_none(value):
    """Converter: an int, or None for no seed of its own."""
    if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__")):
        raise TypeError(f"expected an int or None, got {value!r}.")
    return None if value is None else int(value)


def choice(*allowed):
    """Converter: one of these values; strings in any case."""

    def convert(value):
        value = value.lower() if isinstance(value, str) else value
        if value not in allowed:
            close = nearest(value, [a for a in allowed if isinstance(a, str)])
            raise ValueError(f"expected one of {', '.join(map(repr, allowed))}, got {value!r}.{close}")
        return value

    return convert


def ints(rank, least=1):
    """Converter: a tuple of `rank` ints of at least `least`; one int stands for all."""

    def convert(value):
        wide = (value,) * rank if np.ndim(value) == 0 else tuple(value)
        if len(wide) != rank or any(
            isinstance(v, (bool, str)) or not hasattr(v, "__int__") or int(v) != v or v < least for v in wide
        ):
            raise ValueError(f"expected an integer >= {least} or a tuple of {rank} of them, got {value!r}.")
        return tuple(int(v) for v in wide)

    return convert


def optional(convert):
    """Converter: None stays None, anything else goes through `convert`."""
    convert = getattr(convert, "get", convert) if inspect.ismodule(convert) else convert
    return lambda value: None if value is None else convert(value)
