"""One row for every thing fkeras has; the laws run over all rows."""


def layer_rows():
    """Returns all rows of layers."""
    from tests.catalog import layers_conv, layers_core

    return [*layers_core.ROWS, *layers_conv.ROWS]
