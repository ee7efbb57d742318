"""What stands behind `fkeras.as_keras`: one finder of imports, by the table of `fkeras.keras_paths`."""

import importlib.machinery
import sys
import types
import warnings

import fkeras
from fkeras import keras_paths
from fkeras.core import names


class Keras(types.ModuleType):
    """The module that `import keras` and `tf.keras` give: all that is fkeras's, under Keras's version and name."""

    def __init__(self):
        super().__init__("keras", fkeras.__doc__)
        self.__version__, self.__all__ = keras_paths.VERSION, fkeras.__all__
        self.__path__ = []
        self.__file__ = fkeras.__file__
        self.__spec__ = importlib.machinery.ModuleSpec("keras", None, origin=fkeras.__file__, is_package=True)

    def version(self=None):
        """Returns the version of Keras whose names these are."""
        return keras_paths.VERSION

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(f"keras has no {name!r}.")
        if name in ("src", "api"):
            return self
        if (found := keras_paths.resolve(name)) is not None:
            return found
        return getattr(fkeras, name)

    def __dir__(self):
        return dir(fkeras)


class Stub(types.ModuleType):
    """TensorFlow where there is none: its Keras, its version, and a clear word about the rest."""

    def __init__(self, name, **parts):
        super().__init__(name, "Only tensorflow.keras: TensorFlow is not installed.")
        self.__dict__.update(parts, __path__=[])

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(f"{self.__name__} has no {name!r}.")
        if f"{self.__name__}.{name}" in _AROUND:
            return importlib.import_module(f"{self.__name__}.{name}")
        raise AttributeError(_no_tensorflow(f"{self.__name__}.{name}"))


def _no_tensorflow(path):
    """Returns the message for a name of TensorFlow's own."""
    name = path.rpartition(".")[2]
    like = f" keras.ops.{name} may be what you need." if hasattr(fkeras.ops, name) else ""
    return (
        f"{path}: TensorFlow is not installed, and fkeras stands in for tensorflow.keras alone.{like} "
        f"pip install tensorflow, or write this line with JAX or NumPy."
    )


# tensorflow.python, tensorflow.compat.v1, ...: what lies between TensorFlow and its Keras
_AROUND = {root[:n] for root in keras_paths.ROOTS if root.startswith("tensorflow") for n in range(len(root))
           if root[n] == "." and root[:n] != "tensorflow" and keras_paths.split(root[:n]) is None}  # fmt: skip


class _Give:
    """Loads a module that exists already."""

    def __init__(self, module):
        self.module = module

    def create_module(self, spec):
        return None  # one to be replaced: the import system writes a new origin into whatever is given here

    def exec_module(self, module):
        sys.modules[module.__spec__.name] = self.module


class _WithKeras:
    """Loads TensorFlow by its own loader, then puts Keras into it."""

    def __init__(self, loader, finder):
        self.loader, self.finder = loader, finder

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.finder.enter(module)

    def __getattr__(self, name):  # get_data, get_filename, ...
        return getattr(self.loader, name)


def _importer():
    """Returns the name of the module whose import is being done."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] != "importlib" and "importlib" not in frame.f_code.co_filename and name != __name__:
            return name
        frame = frame.f_back
    return ""


class Finder:
    """Answers imports of Keras, and of names that fkeras lacks; leaves everything else to others."""

    def __init__(self):
        self.keras, self.theirs = Keras(), None

    def find_spec(self, fullname, path=None, target=None):
        first = fullname.partition(".")[0]
        if first == "fkeras":
            inner = names.inner(fullname)
            if inner in keras_paths.PATHS and not keras_paths.exists(inner):
                return self._give(fullname, keras_paths.resolve(inner))
            self._check(fullname)
            return None
        if first not in _FIRST:
            return None
        found = keras_paths.split(fullname)
        if first == "tensorflow":
            if found is None:
                return self._tensorflow(fullname, path)
            if not isinstance(sys.modules["tensorflow"], Stub) and _importer().partition(".")[0] == "tensorflow":
                return None  # TensorFlow keeps a copy of Keras for itself
        root, inner = found
        module = self.keras if not inner else keras_paths.resolve(inner, root in keras_paths.PRIVATE)
        if module is None:
            # Under its own name `from keras import layer` would hide the error behind one of Python's.
            raise ModuleNotFoundError(keras_paths.missing_module(inner), name=inner)
        return self._give(fullname, module)

    def _give(self, fullname, module):
        vars(module).setdefault("__path__", [])
        return importlib.machinery.ModuleSpec(fullname, _Give(module), is_package=True)

    def _check(self, fullname):
        """`from keras.layers import Foo` looks for a module fkeras.layers.Foo: the last chance to name what is near."""
        parent, _, name = fullname.rpartition(".")
        inner = names.inner(parent)
        if (not inner or keras_paths.family(inner)) and not keras_paths.exists(names.inner(fullname)):
            home = keras_paths.PATHS.get(inner, [inner])[0]  # keras.layers.core, where we have a file of that name
            raise ImportError(names.unknown(f"fkeras.{home}".strip("."), name), name=fullname)

    def _tensorflow(self, fullname, path):
        real = None if isinstance(sys.modules.get("tensorflow"), Stub) else self._real(fullname, path)
        if real is not None:
            if fullname == "tensorflow":
                real.loader = _WithKeras(real.loader, self)
            return real
        if fullname == "tensorflow":
            stub = Stub("tensorflow", keras=self.keras, __version__=keras_paths.TENSORFLOW)
            return importlib.machinery.ModuleSpec(fullname, _Give(stub), is_package=True)
        if fullname in _AROUND:
            return importlib.machinery.ModuleSpec(fullname, _Give(Stub(fullname)), is_package=True)
        if isinstance(sys.modules["tensorflow"], Stub):
            raise ImportError(_no_tensorflow(fullname), name=fullname)
        return None

    def _real(self, fullname, path):
        """Returns what the other finders find."""
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path)) is not None:
                return spec
        return None

    def enter(self, tensorflow):
        """Puts Keras into an installed TensorFlow; what it imported of its own copy, it keeps."""
        _forget(lambda name: name.startswith("tensorflow") and _is_keras(name))
        self.theirs = vars(tensorflow).get("keras")
        tensorflow.keras = self.keras


_FIRST = {root.partition(".")[0] for root in keras_paths.ROOTS}
_finder = None
_before: dict[str, types.ModuleType] = {}  # modules that were imported by these names, for `stop`


def _is_keras(name):
    return keras_paths.split(name) is not None


def _forget(which):
    for name in [name for name in sys.modules if which(name)]:
        _before.setdefault(name, sys.modules.pop(name))


def start():
    """From now on `import keras`, `tf.keras` and all their modules, of any age, are fkeras.

    What was imported from Keras before stays what it is; a warning says so.
    """
    global _finder
    if _finder is not None:
        return
    theirs = sys.modules.get("keras")
    _finder = Finder()
    for path in keras_paths.PATHS:
        if keras_paths.exists(path):
            keras_paths.resolve(path)
    _forget(_is_keras)
    sys.meta_path.insert(0, _finder)
    if (tensorflow := sys.modules.get("tensorflow")) is not None:
        _finder.enter(tensorflow)
    if theirs is not None:
        warnings.warn(
            "fkeras.as_keras: keras was imported before. From now on `import keras` gives fkeras, but names taken "
            "from it earlier are still Keras's, and the two do not mix: put `import fkeras.as_keras` first.",
            stacklevel=2,
        )


def stop():
    """Ends what `start` began: Keras, if it is installed, is Keras again."""
    global _finder
    if _finder is None:
        return
    sys.meta_path.remove(_finder)
    for name in [name for name in sys.modules if _is_keras(name) or isinstance(sys.modules[name], Stub)]:
        del sys.modules[name]
    if (tensorflow := sys.modules.get("tensorflow")) is not None and _finder.theirs is not None:
        tensorflow.keras = _finder.theirs
    sys.modules.update(_before)
    _before.clear()
    _finder = None
