"""Trees of arrays named by path: nested dicts {layer: {weight: array}}."""

import jax


def held(value):
    """Yields what is in nested lists, tuples and dicts, each of these once: one may hold itself.

    Example:
        >>> loop = [1]
        >>> loop.append(loop)
        >>> list(held({"a": loop, "b": (2, [3])}))
        [1, 2, 3]
    """
    seen, todo = set(), [value]
    while todo:
        one = todo.pop()
        if not isinstance(one, (list, tuple, dict)):
            yield one
        elif id(one) not in seen:
            seen.add(id(one))
            todo.extend(reversed(list(one.values()) if isinstance(one, dict) else one))


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


def at(tree, path):
    """Returns the part of a nested dict at a path, {} where there is none.

    Example:
        >>> at({"a": {"b": {"c": 1}}}, ("a", "b")), at({}, ("a",))
        ({'c': 1}, {})
    """
    for key in path:
        tree = tree.get(key, {})
    return tree


def put(tree, path, part):
    """Returns a nested dict with `part` at a path; what lies beside the path is not copied.

    Example:
        >>> put({"a": {"b": 1}}, ("a", "c"), 2)
        {'a': {'b': 1, 'c': 2}}
    """
    if not path:
        return part
    return {**tree, path[0]: put(tree.get(path[0], {}), path[1:], part)}


def like(tree, form):
    """Returns a nested dict with the keys of `form` alone.

    Example:
        >>> like({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 0}})
        {'a': {'b': 1}}
    """
    return {k: like(tree[k], v) if isinstance(v, dict) else tree[k] for k, v in form.items()}


def is_flat_dict(tree):
    """True for a dict none of whose values is a list, tuple or dict itself.

    Example:
        >>> is_flat_dict({"a": 1, "b": 2}), is_flat_dict({"a": [1, 2]}), is_flat_dict([1])
        (True, False, False)
    """
    return isinstance(tree, dict) and not any(isinstance(value, (list, tuple, dict)) for value in tree.values())


def in_form(given, form):
    """Returns what was given for the leaves of the tree `form` as a dict or list that names them or has them in order.

    A list for a flat dict is taken in the order in which the dict was written, whatever the order of its keys; a tree
    like a nested `form` becomes the list of its leaves. Anything else is returned as it is.

    Example:
        >>> in_form([1, 2], {"b": 0, "a": 0}), in_form({"p": 1, "q": [2, 3]}, {"p": 0, "q": [0, 0]})
        ({'b': 1, 'a': 2}, [1, 2, 3])
    """
    if is_flat_dict(form):
        ordered = isinstance(given, (list, tuple)) and len(given) == len(form)
        return dict(zip(form, given, strict=True)) if ordered else given
    nested = isinstance(form, (list, tuple, dict)) and isinstance(given, (list, tuple, dict))
    if nested and any(isinstance(v, (list, tuple, dict)) for v in (form.values() if isinstance(form, dict) else form)):
        shape = jax.tree.structure(form)
        try:
            return shape.flatten_up_to(given)
        except (ValueError, TypeError):
            return given
    return given
