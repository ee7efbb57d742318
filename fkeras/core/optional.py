"""Packages that are not required: imported when they are first needed, and missed by a message that says what to do."""

import importlib

# module -> (package, extra of fkeras or None)
EXTRAS = {
    "PIL": ("Pillow", "images"),
    "matplotlib": ("matplotlib", "plots"),
    "requests": ("requests", None),
    "sklearn": ("scikit-learn", "sklearn"),
}


def need(module, what):
    """Returns the module, imported; `what` names what needs it.

    Raises:
        ImportError: It is not installed.

    Example:
        >>> need("json", "this example").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        package, extra = EXTRAS[module.partition(".")[0]]
        also = f" (or the extra: pip install 'fkeras[{extra}]')" if extra else ""
        how = f"pip install {package.lower()}{also}"
        raise ImportError(f"{what} needs {package}, which cannot be imported ({err}). Install it: {how}.") from None
