"""`ops.rearrange`: axes split, moved and joined as a pattern says."""

import re

import jax.numpy as jnp

from fkeras.core.operations import op


@op("einops", "Rearrange", raw="pattern")
def rearrange(tensor, pattern, **axes_lengths):
    """Splits, moves and joins axes: rearrange(x, "b (h w) c -> b h w c", h=4).

    Args:
        tensor: Array.
        pattern: Names of axes before and after "->"; those in parentheses are one axis.
        axes_lengths: Sizes of split axes; one of each pair of parentheses follows from the others.

    Raises:
        ValueError: The pattern does not fit the array, or a size is missing.

    Example:
        >>> rearrange(jnp.arange(6).reshape(2, 3), "a b -> b a").shape
        (3, 2)
        >>> rearrange(jnp.arange(6), "(a b) -> a b", a=2).shape
        (2, 3)

    Source: Rogozhnikov, "Einops", ICLR 2022.
    """
    tensor = jnp.asarray(tensor)
    sides = pattern.split("->")
    before, after = map(_groups, sides) if len(sides) == 2 else ([], [])
    names = [n for group in before for n in group]
    if len(before) != tensor.ndim or sorted(names) != sorted(n for group in after for n in group):
        raise ValueError(
            f"ops.rearrange: the pattern {pattern!r} does not fit an array of shape {tensor.shape}: expected an entry "
            f"for each axis, and the same names on both sides of '->'."
        )
    sizes = dict(axes_lengths)
    for group, size in zip(before, tensor.shape, strict=True):
        unknown = [n for n in group if n not in sizes]
        known = 1
        for n in group:
            known *= sizes.get(n, 1)
        if len(unknown) > 1 or size % known or (not unknown and known != size):
            raise ValueError(
                f"ops.rearrange: cannot split an axis of {size} into ({' '.join(group)}) with sizes {axes_lengths}."
            )
        sizes |= {n: size // known for n in unknown}
    split = tensor.reshape([sizes[n] for n in names])
    moved = split.transpose([names.index(n) for group in after for n in group])
    joined = []
    for group in after:
        joined.append(1)
        for n in group:
            joined[-1] *= sizes[n]
    return moved.reshape(joined)


def _groups(side):
    """Returns the entries of one side, each a list of names: "b (h w)" -> [["b"], ["h", "w"]]."""
    return [part.strip("()").split() for part in re.findall(r"\([^)]*\)|[^\s()]+", side)]
