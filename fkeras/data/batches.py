"""The forms of one batch: x, (x, y), (x, y, sample_weight)."""


def pack_x_y_sample_weight(x, y=None, sample_weight=None):
    """Returns what was given as a batch is: x, (x, y) or (x, y, sample_weight); a list or tuple alone as (x,).

    Example:
        >>> pack_x_y_sample_weight([1], [2])
        ([1], [2])
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data):
    """Returns (x, y, sample_weight) of a batch, None for what it does not have.

    Raises:
        ValueError: A tuple of more than three parts.

    Example:
        >>> unpack_x_y_sample_weight(([1], [2]))
        ([1], [2], None)
    """
    data = tuple(data) if isinstance(data, list) else data
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"unpack_x_y_sample_weight: expected x, (x,), (x, y) or (x, y, sample_weight), got a tuple of {len(data)}."
        )
    return (*data, None, None)[:3]
