"""Trees of arrays named by path: nested dicts {layer: {weight: array}}."""


def flatten(tree, path=()):
    """Returns {path tuple: leaf} of a nested dict, in the dict's own order.

    Example:
        >>> flatten({"dense": {"kernel": 1, "bias": 2}})
        {('dense', 'kernel'): 1, ('dense', 'bias'): 2}
    """
    if not isinstance(tree, dict):
        return {path: tree}
    return {p: leaf for key, sub in tree.items() for p, leaf in flatten(sub, (*path, key)).items()}


def unflatten(leaves):
    """Inverse of `flatten`: a nested dict of {path tuple: leaf}."""
    tree = {}
    for path, leaf in leaves.items():
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = leaf
    return tree


def split(tree, keep):
    """Splits a nested dict in two by path: (leaves whose path is in `keep`, the others)."""
    leaves = flatten(tree)
    return (
        unflatten({p: a for p, a in leaves.items() if p in keep}),
        unflatten({p: a for p, a in leaves.items() if p not in keep}),
    )


def join(a, b):
    """Joins two nested dicts with different leaves; inverse of `split`."""
    if not (isinstance(a, dict) and isinstance(b, dict)):
        raise ValueError("join: the two trees hold a leaf at the same path.")
    out = {k: join(v, b[k]) if k in b else v for k, v in a.items()}
    return out | {k: v for k, v in b.items() if k not in a}
