"""Modules of `keras.utils` that Keras 2 had, and which scripts still import: `from keras.utils.np_utils import ...`.

Each name in them is one of `fkeras.utils`, with a line of warning that says so.
"""

import sys
import types
import warnings

NAMES = {
    "np_utils": "to_categorical normalize",
    "data_utils": "get_file Sequence pad_sequences",
    "generic_utils": "Progbar CustomObjectScope custom_object_scope get_custom_objects get_registered_name "
    "get_registered_object register_keras_serializable serialize_keras_object deserialize_keras_object",
    "vis_utils": "plot_model model_to_dot",
    "image_utils": "load_img save_img img_to_array array_to_img",
    "layer_utils": "get_source_inputs",
}


class _Old(types.ModuleType):
    """A module whose names are those of `fkeras.utils`."""

    def __init__(self, name, names, home):
        super().__init__(f"{home.__name__}.{name}", f"Keras 2's name for a part of {home.__name__}.")
        self.__dict__.update(_names=names, _home=home, __all__=list(names))

    def __getattr__(self, name):
        if name not in self._names:
            raise AttributeError(f"{self.__name__} has no {name!r}. It has: {', '.join(self._names)}.")
        home = self._home.__name__
        warnings.warn(f"{self.__name__}.{name} is called {home}.{name} today.", DeprecationWarning, stacklevel=2)
        return getattr(self._home, name)

    def __dir__(self):
        return list(self._names)


def register(home):
    """Makes the old modules importable from the module `home`."""
    for name, names in NAMES.items():
        module = _Old(name, names.split(), home)
        sys.modules[module.__name__] = module
        setattr(home, name, module)
