"""One row for every thing fkeras has; the laws run over all rows."""

import importlib
import pathlib


def layer_rows(several_inputs=False):
    """Returns the rows of all files layers_*.py here; those of layers that take several inputs only if asked."""
    files = sorted(pathlib.Path(__file__).parent.glob("layers_*.py"))
    modules = [importlib.import_module(f"{__name__}.{f.stem}") for f in files]
    rows = [row for m in modules for row in [*m.ROWS, *getattr(m, "MERGE_ROWS", [])]]
    return [row for row in rows if several_inputs or _takes_one(row)]


def _takes_one(row):
    return all(isinstance(size, int) for size in row.shape) and not getattr(row, "states", ())


def image_layers():
    """Returns the names of the layers that vary images: drawn settings, which Keras writes in another form."""
    from fkeras.layers import registry

    return {name for name, cls in registry.entries.items() if cls.__module__.startswith("fkeras.layers.augment")}
