"""One row for every thing fkeras has; the laws run over all rows."""

import importlib
import pathlib


def layer_rows(several_inputs=False):
    """Returns the rows of all files layers_*.py here; also those of layers that take a list, if asked."""
    files = sorted(pathlib.Path(__file__).parent.glob("layers_*.py"))
    modules = [importlib.import_module(f"{__name__}.{f.stem}") for f in files]
    rows = [row for m in modules for row in m.ROWS]
    return rows + [row for m in modules for row in getattr(m, "MERGE_ROWS", [])] if several_inputs else rows
