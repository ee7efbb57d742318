"""Writes the stubs that tell editors and type checkers what constructors take: `python .ci/stubs.py`.

Constructors are made of settings when a class is made, which no checker follows. The stubs are written from the
signatures that Python shows, so they are complete; `tests/test_types.py` compares them with what this script would
write. Run it after adding or changing a public class of `FILES`.
"""

import importlib
import inspect
import pathlib
import sys

ROOT = pathlib.Path(__file__).parent.parent
FILES = {  # namespace -> its stub
    "fkeras.layers": "layers/__init__.pyi",
    "fkeras.losses": "losses/__init__.pyi",
    "fkeras.metrics": "metrics/__init__.pyi",
    "fkeras.optim": "optim/__init__.pyi",
    "fkeras.callbacks": "callbacks/__init__.pyi",
    "fkeras.optim.schedules": "optim/schedules.pyi",
    "fkeras.initializers": "initializers.pyi",
    "fkeras.regularizers": "regularizers.pyi",
    "fkeras.constraints": "constraints.pyi",
    "fkeras.models": "models.pyi",
}
HEAD = """# mypy: ignore-errors
# Written by .ci/stubs.py from the signatures of the package.
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from fkeras.core.settings import Configured

_Named = str | Callable[..., Any] | dict[str, Any] | None  # a name, a function, an object or its config
_Sizes = int | Sequence[int]  # one for all axes, or one an axis
_Rate = float | Callable[..., Any] | dict[str, Any]  # a number or a schedule

"""
BASES = {"Layer": "fkeras.layers.contract.base"}  # bases that users derive from: what they declare are settings
SIZES = ("kernel_size", "strides", "pool_size", "dilation_rate")
NAMED = ("_initializer", "_regularizer", "_constraint", "activation")


def public(namespace):
    """Returns {name: object} of what a stub lists."""
    module = importlib.import_module(namespace)
    if namespace != "fkeras.models" and hasattr(module, "__all__"):
        names = module.__all__
    else:
        names = [n for n, v in vars(module).items() if not n.startswith("_") and _is_its_own(module, n, v)]
        names += [n for n in getattr(module, "__all__", ()) if n not in names]
    return {name: getattr(module, name) for name in names}


def _is_its_own(module, name, value):
    return (inspect.isroutine(value) or inspect.isclass(value)) and value.__module__ == module.__name__


def stub(namespace):
    """Returns the text of the stub of a namespace."""
    from fkeras.core.settings import Configured

    found = public(namespace)
    is_file = not FILES[namespace].endswith("__init__.pyi")
    imports, body = [], []
    written = {}  # class -> name
    for name, value in sorted(found.items(), key=lambda item: len(getattr(item[1], "__mro__", ()))):
        source = getattr(value, "__module__", None)
        own = is_file and source == namespace
        if inspect.ismodule(value):
            imports.append(f"from {namespace} import {name} as {name}")
        elif value in written if _is_hashable(value) else False:
            body.append(f"{name} = {written[value]}\n")
        elif inspect.isclass(value) and name not in BASES and (own or _has_settings(value, Configured)):
            written[value] = name
            body.append(_class(name, value, written, Configured))
        elif inspect.isclass(value) or inspect.isfunction(value):
            at = getattr(value, "__name__", name)
            if not own and getattr(sys.modules.get(source), at, None) is value and _is_written(source, at):
                imports.append(f"from {source} import {at} as {name}")
                written[value] = name
            else:
                body.append(f"def {name}{_parameters(value, None)} -> {_returned(value)}: ...\n")
        else:
            body.append(f"{name}: Any\n")
    if namespace == "fkeras.models":
        imports.append("from fkeras.layers.contract.base import Layer as Layer")
    if namespace != "fkeras.models":
        body.append(f"__all__ = {sorted(found)!r}\n")
    return HEAD + "\n".join(sorted(set(imports))) + "\n\n" + "\n".join(body)


def _is_hashable(value):
    return inspect.isclass(value) or inspect.isfunction(value)


def _is_written(module, name):
    """Whether a checker finds a name in a module's file: a `def`, a `class`, or an assignment."""
    text = inspect.getsource(sys.modules[module])
    return any(f"\n{start} {name}" in f"\n{text}" for start in ("def", "class", "async def")) or f"\n{name} = " in text


def _has_settings(cls, configured):
    return issubclass(cls, configured)


def _class(name, cls, written, configured):
    """Returns a class: its settings, its constructor, and what it has beside its public base."""
    base = next((c for c in cls.__mro__[1:] if c in written or c.__name__ in BASES), None)
    base = base or (configured if issubclass(cls, configured) else None)
    shown = "" if base is None else f"({written.get(base, base.__name__)})"
    parameters = list(inspect.signature(cls).parameters.values())
    is_own = cls.__init__ is not getattr(configured, "__init__", None)
    lines = []
    if issubclass(cls, configured):
        inherited = getattr(base, "_fields", {})
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in inherited:
                default = "" if p.default is p.empty else f" = {_default(p.default)}"
                lines.append(f"{p.name}: Any{default}")
    fields = {line.partition(":")[0] for line in lines}
    extra = ["input_shape: Any = ...", "batch_input_shape: Any = ..."] if _is_layer(cls) else []
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        extra = []
    lines.append(f"def __init__{_parameters(cls, 'self', extra, {} if is_own else _settings(cls))} -> None: ...")
    stop = cls.__mro__.index(base) if base else len(cls.__mro__) - 1
    seen = set(fields) | {"default_name"}
    for one in cls.__mro__[:stop]:
        for attribute, value in vars(one).items():
            if attribute.startswith("_") and attribute not in ("__call__", "__len__", "__iter__", "__getitem__"):
                continue
            known = base is not None and hasattr(base, attribute)
            if attribute in seen or (known and (attribute not in vars(cls) or not callable(value))):
                continue
            seen.add(attribute)
            lines += _member(attribute, value)
    return f"class {name}{shown}:\n" + "".join(f"    {line}\n" for line in lines or ["..."])


def _is_layer(cls):
    return any(c.__name__ == "Layer" for c in cls.__mro__) and not any(c.__name__ == "Model" for c in cls.__mro__)


def _settings(cls):
    kinds = {}
    for one in reversed(cls.__mro__):
        kinds |= inspect.get_annotations(one)
    return {n: (kinds.get(n), f) for n, f in cls._fields.items()}


def _member(name, value):
    if isinstance(value, property):
        kind = _returned(value.fget)
        setter = [f"@{name}.setter", f"def {name}(self, value: Any) -> None: ..."] if value.fset else []
        return ["@property", f"def {name}(self) -> {kind}: ...", *setter]
    if isinstance(value, (classmethod, staticmethod)):
        first = "cls" if isinstance(value, classmethod) else None
        given = _parameters(value.__func__, first, drop=first is not None)
        return [f"@{type(value).__name__}", f"def {name}{given} -> {_returned(value.__func__)}: ..."]
    if inspect.isfunction(value):
        return [f"def {name}{_parameters(value, 'self', drop=True)} -> {_returned(value)}: ..."]
    return [f"{name}: ClassVar[Any]"]


def _returned(function):
    kind = getattr(function, "__annotations__", {}).get("return")
    return "Any" if kind is None else _kind(kind)


def _kind(annotation):
    if annotation is None or annotation is type(None):
        return "None"
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = text.replace("typing.", "").replace("collections.abc.", "")
    return text if all(word not in text for word in ("jax", "numpy", "fkeras", "<")) else "Any"


def _default(value):
    plain = value is None or isinstance(value, (bool, int, float, str))
    return repr(value) if plain and value == value and abs_ok(value) else "..."


def abs_ok(value):
    """Whether the `repr` of a value is Python: infinity's is not."""
    return not isinstance(value, float) or value not in (float("inf"), float("-inf"))


def _parameters(function, first, extra=(), settings=None, drop=False):
    """Returns "(self, units: int, ...)" of a function or a class."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return "(self, *args: Any, **kwargs: Any)" if first else "(*args: Any, **kwargs: Any)"
    parts, starred, optional = ([first] if first else []), False, False
    for p in parameters[1:] if drop else parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            stars = "*" if p.kind is p.VAR_POSITIONAL else "**"
            if stars == "**":
                parts += ([] if starred or not extra else ["*"]) + list(extra)
                extra = ()
            starred = True
            parts.append(f"{stars}{p.name}: Any")
            continue
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        kind = _argument(p, *(settings or {}).get(p.name, (p.annotation, None)))
        has_default = p.default is not p.empty
        optional = optional or has_default
        default = f" = {_default(p.default)}" if has_default else " = ..." if optional and not starred else ""
        parts.append(f"{p.name}: {kind}{default}")
    if extra:
        parts += ([] if starred else ["*"]) + list(extra)
    return f"({', '.join(parts)})"


def _argument(p, annotation, field):
    """Returns the type of an argument: its annotation where that says what may be given, and not what is kept."""
    missing = " | None" if p.default is None else ""
    if p.name.endswith(NAMED):
        return "_Named"
    if field is not None and p.name in SIZES:
        return f"_Sizes{missing}"
    if field is not None and p.name == "learning_rate":
        return f"_Rate{missing}"
    if annotation in (None, p.empty) or p.name == "dtype":
        return "Any"
    if annotation in (int, float, bool) or (annotation is str and p.name not in ("filepath", "filename", "backup_dir")):
        return f"{annotation.__name__}{missing}"
    if annotation is int | None or annotation is float | None:
        return _kind(annotation)
    if field is not None:
        return "Any"
    return _kind(annotation) + ("" if "None" in _kind(annotation) or _kind(annotation) == "Any" else missing)


def main(arguments):
    """Writes the stubs, or with --check says which would change."""
    sys.path.insert(0, str(ROOT))
    changed = []
    for namespace, file in FILES.items():
        path, text = ROOT / "fkeras" / file, stub(namespace)
        if not path.exists() or path.read_text("utf-8") != text:
            changed.append(file)
            if "--check" not in arguments:
                path.write_text(text, "utf-8")
    print(*changed, sep="\n")
    return "--check" in arguments and bool(changed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
