"""Which of Keras's names scripts and notebooks use, and which of them fkeras lacks: by their text."""

import ast
import inspect
import json
import pathlib
from typing import NamedTuple

from fkeras import keras_paths
from fkeras.core import messages

CELL_MAGIC = ("%%bash", "%%sh", "%%html", "%%javascript", "%%writefile", "%%latex", "%%svg", "%%cmd", "%%perl")


class Missing(NamedTuple):
    """A name of Keras in a file that fkeras lacks, or a file that cannot be read."""

    where: str
    what: str
    about: str

    def __str__(self):
        return f"{self.where}: {self.what}: {self.about}"


def check_paths(paths):
    """Returns (how many files were read, how many uses of Keras's names they have, list of `Missing`).

    Args:
        paths: Files (.py, .ipynb) and folders, which are searched for both.

    Raises:
        FileNotFoundError: There is no such path.
    """
    files, uses, missing = [], 0, []
    for path in map(pathlib.Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"check: there is no file or folder {str(path)!r}.")
        found = [p for kind in ("*.py", "*.ipynb") for p in path.rglob(kind)] if path.is_dir() else [path]
        files += sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts))
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
            pieces = _cells(text) if file.suffix == ".ipynb" else [("", text)]
        except (UnicodeDecodeError, ValueError, KeyError, TypeError) as err:
            missing.append(Missing(str(file), "cannot be read", str(err)[:120]))
            continue
        count, found = check_pieces(str(file), pieces)
        uses, missing = uses + count, missing + found
    return len(files), uses, missing


def check_pieces(file, pieces):
    """Returns (how many uses, list of `Missing`) of a program in pieces [(place, text)], which share their names."""
    reader, missing = Reader(), []
    for place, text in pieces:
        where = f"{file}{place and f', {place}'}"
        try:
            tree = ast.parse(text)
        except SyntaxError as err:
            hint = "it is Python 2" if "print" in str(err) or "except" in str(err) else err.msg
            missing.append(Missing(f"{where}:{err.lineno}", "cannot be parsed", hint))
            continue
        reader.read(tree)
        with messages.old_spellings_expected():
            missing += [Missing(f"{where}:{line}", what, about) for line, what, about in reader.lacking()]
    return reader.count, missing


def _cells(text):
    """Yields (place, source) of the code cells of a notebook, without what is IPython's alone."""
    notebook = json.loads(text)
    cells = (
        notebook["cells"] if "cells" in notebook else [c for sheet in notebook["worksheets"] for c in sheet["cells"]]
    )
    for number, cell in enumerate(cells, 1):
        if cell.get("cell_type") != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        source = source if isinstance(source, str) else "".join(source)
        if not source.lstrip().startswith(CELL_MAGIC):
            yield f"cell {number}", "\n".join(map(_without_magic, source.split("\n")))


def _without_magic(line):
    start = line.lstrip()
    is_magic = start.startswith(("%", "!")) or start.rstrip().endswith("?")
    return f"{line[: len(line) - len(start)]}pass" if is_magic else line


class Reader(ast.NodeVisitor):
    """Follows names that stand for Keras and its modules, and collects every name that is asked of them.

    A name counts from the import, or the assignment `K = keras.backend`, that gives it; one that a function binds
    anew (an argument, a loop) is the function's own. Functions are read after what surrounds them, as they run then.
    """

    def __init__(self):
        self.scopes, self.later, self.uses, self.count = [{}], [], [], 0

    def read(self, tree):
        """Reads a module, or a further cell of the same notebook."""
        self.visit(tree)
        while self.later:
            scopes, body = self.later.pop(0)
            outer, self.scopes = self.scopes, scopes
            for statement in body:
                self.visit(statement)
            self.scopes = outer

    def lacking(self):
        """Yields (line, name, message) of what was read since the last time and is not here."""
        uses, self.uses = self.uses, []
        self.count += len(uses)
        seen = set()
        for line, path in sorted(uses):
            if (about := missing_name(path)) and (line, path) not in seen:
                seen.add((line, path))
                yield line, path, about

    # ------------------------------------------------------------------------------ what names stand for

    def bind(self, name, path):
        """From here on `name` stands for a path of Keras's or TensorFlow's; None for something else."""
        self.scopes[-1][name] = path

    def path_of(self, node):
        """Returns the dotted path that an expression stands for, or None."""
        if isinstance(node, ast.Name):
            return next((scope[node.id] for scope in reversed(self.scopes) if node.id in scope), None)
        if isinstance(node, ast.Attribute) and (base := self.path_of(node.value)):
            return f"{base}.{node.attr}"
        return None

    def use(self, node, path):
        if keras_paths.split(path):
            self.uses.append((node.lineno, path))

    # ------------------------------------------------------------------------------------ statements

    def visit_Import(self, node):
        for alias in node.names:
            if _is_ours(alias.name):
                self.use(node, alias.name)
                self.bind(alias.asname or alias.name.partition(".")[0],
                          alias.name if alias.asname else alias.name.partition(".")[0])  # fmt: skip
            else:
                self.bind(alias.asname or alias.name.partition(".")[0], None)

    def visit_ImportFrom(self, node):
        ours = not node.level and _is_ours(node.module or "")
        for alias in node.names:
            if alias.name == "*":
                if ours and (module := _module(node.module)) is not None:
                    for name in getattr(module, "__all__", ()):
                        self.bind(name, f"{node.module}.{name}")
                if ours:
                    self.use(node, node.module)
                continue
            path = f"{node.module}.{alias.name}"
            if ours:
                self.use(node, path)
            self.bind(alias.asname or alias.name, path if ours else None)

    def visit_Assign(self, node):
        self.visit(node.value)
        path = self.path_of(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.bind(target.id, path)
            else:
                self.visit(target)

    def visit_Name(self, node):
        if isinstance(node.ctx, (ast.Store, ast.Del)):
            self.bind(node.id, None)

    def visit_Attribute(self, node):
        path = self.path_of(node)
        if path is None:
            self.generic_visit(node)
        else:
            self.use(node, path)

    def visit_ClassDef(self, node):
        for part in (*node.bases, *node.keywords, *node.decorator_list):
            self.visit(part)
        self.bind(node.name, None)
        self.scopes = [*self.scopes, {}]  # its methods do not see it, but what they bind is theirs anyway
        for statement in node.body:
            self.visit(statement)
        self.scopes = self.scopes[:-1]

    def visit_FunctionDef(self, node):
        for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(part)
        self.bind(node.name, None)
        self._function(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        for part in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(part)
        self._function(node.args, [node.body])

    def _function(self, args, body):
        every = (*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg)))
        self.later.append(([*self.scopes, dict.fromkeys(a.arg for a in every)], body))


def _is_ours(path):
    return any(path == root or path.startswith(root + ".") or root.startswith(path + ".") for root in keras_paths.ROOTS)


def _module(path):
    found = keras_paths.split(path)
    if found is None:
        return None
    root, inner = found
    return keras_paths.module("") if not inner else keras_paths.resolve(inner, root in keras_paths.PRIVATE)


def missing_name(path):
    """Returns what to say of a path of Keras's that fkeras lacks, or None if it is here.

    Example:
        >>> missing_name("tensorflow.keras.layers.Dense") is None
        True
        >>> missing_name("keras.layers.Dens")
        "fkeras.layers has no 'Dens'. Did you mean 'Dense'?"
    """
    root, rest = keras_paths.split(path)
    if not rest:
        return None
    here, found = root, keras_paths.module("")
    for name in rest.split("."):
        here = f"{here}.{name}"
        module = _module(here)
        if module is None:
            if name.startswith("__") or (found is keras_paths.module("") and name in ("version", "src", "api")):
                return None  # what the module that stands for Keras has of its own
            try:
                module = getattr(found, name)
            except AttributeError as err:
                return str(err)
            except ImportError:  # of a package that is not required: the name is here
                return None
        if not inspect.ismodule(module):
            return None
        found = module
    return None


def main(paths):
    """Prints what `paths` use and fkeras lacks; returns 1 if there is something, else 0."""
    files, uses, missing = check_paths(paths)
    for one in missing:
        print(one)
    said = f"{len(missing)} of them are missing" if missing else "all of them are here"
    print(f"{files} file{'s' * (files != 1)}, {uses} uses of Keras's names: {said}.")
    return int(bool(missing))
