"""Keras's `tree`: nested lists, tuples and dicts, leaf by leaf. None is a leaf; dicts go by their sorted keys.

Built on `jax.tree`, so that whatever JAX takes apart is a structure here too.
"""

import jax


class MAP_TO_NONE:
    """What a function given to `traverse` returns to put None in a place."""


def _is_none(value):
    return value is None


def is_nested(structure):
    """Returns whether `structure` is a list, a tuple, a dict, or another container that JAX takes apart.

    Example:
        >>> is_nested([]), is_nested("text"), is_nested(None)
        (True, False, False)
    """
    return structure is not None and not jax.tree_util.all_leaves([structure])


def flatten(structure):
    """Returns the list of the leaves.

    Example:
        >>> flatten({"b": 1, "a": [2, None]})
        [2, None, 1]
    """
    return jax.tree.leaves(structure, is_leaf=_is_none)


def flatten_with_path(structure):
    """Returns the list of (path, leaf); a path is a tuple of keys and places.

    Example:
        >>> flatten_with_path({"a": [2, 3]})
        [(('a', 0), 2), (('a', 1), 3)]
    """
    found = jax.tree_util.tree_flatten_with_path(structure, is_leaf=_is_none)[0]
    return [(tuple(_key(k) for k in path), leaf) for path, leaf in found]


def _key(entry):
    return next(getattr(entry, name) for name in ("key", "idx", "name") if hasattr(entry, name))


def map_structure(func, *structures, none_is_leaf=True):
    """Applies a function leaf by leaf; returns the results in the form of the first structure.

    Args:
        none_is_leaf: False leaves None as it is.

    Raises:
        ValueError: The structures differ. TypeError: `func` is no function.

    Example:
        >>> map_structure(lambda a, b: a + b, {"x": 1}, {"x": 2})
        {'x': 3}
    """
    if not callable(func):
        raise TypeError(f"tree.map_structure: expected a function first, got {func!r}.")
    if not structures:
        raise ValueError("tree.map_structure: expected at least one structure.")
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    return jax.tree.map(func, *structures, is_leaf=_is_none if none_is_leaf else None)


def map_structure_up_to(shallow_structure, func, *structures):
    """Applies a function to what stands at the leaves of `shallow_structure` in deeper structures.

    Example:
        >>> map_structure_up_to([0, 0], len, [[1, 2], [3]])
        [2, 1]
    """
    form = jax.tree.structure(shallow_structure, is_leaf=_is_none)
    return form.unflatten([func(*parts) for parts in zip(*(form.flatten_up_to(s) for s in structures), strict=True)])


def pack_sequence_as(structure, flat_sequence):
    """Returns the values of a flat list in the form of `structure`.

    Raises:
        ValueError: There are more or fewer values than leaves.

    Example:
        >>> pack_sequence_as({"a": 0, "b": [0]}, [1, 2])
        {'a': 1, 'b': [2]}
    """
    form, values = jax.tree.structure(structure, is_leaf=_is_none), list(flat_sequence)
    if form.num_leaves != len(values):
        raise ValueError(f"tree.pack_sequence_as: expected {form.num_leaves} values, got {len(values)}.")
    return form.unflatten(values)


def assert_same_structure(a, b, check_types=None):
    """Raises ValueError unless two structures have the same form.

    Args:
        check_types: Not used, as in Keras 3.15: containers must be of the same type.

    Example:
        >>> assert_same_structure([1, {"a": 2}], [3, {"a": 4}])
    """
    forms = [jax.tree.structure(s, is_leaf=_is_none) for s in (a, b)]
    if forms[0] != forms[1]:
        raise ValueError(f"The two structures differ: expected the form {_shown(forms[0])}, got {_shown(forms[1])}.")


def assert_same_paths(a, b):
    """Raises ValueError unless two structures have leaves at the same paths; lists and tuples count alike.

    Example:
        >>> assert_same_paths([1, 2], (3, 4))
    """
    one, two = ({path for path, _ in flatten_with_path(s)} for s in (a, b))
    if one != two:
        raise ValueError(
            f"`a` and `b` don't have the same paths. Only in a: {sorted(one - two, key=str)[:3]}; only in b: "
            f"{sorted(two - one, key=str)[:3]}."
        )


def _shown(form):
    text = str(form).removeprefix("PyTreeDef(").removesuffix(")")
    return text if len(text) < 90 else text[:87] + "..."


def lists_to_tuples(structure):
    """Returns the structure with tuples in place of lists.

    Example:
        >>> lists_to_tuples([1, {"a": [2]}])
        (1, {'a': (2,)})
    """
    inner = _map_children(lists_to_tuples, structure)
    return tuple(inner) if type(inner) is list else inner


def map_shape_structure(func, structure):
    """Applies a function to each shape: a list or tuple of ints and None is one.

    Example:
        >>> map_shape_structure(len, {"a": (None, 3), "b": [(2,)]})
        {'a': 2, 'b': [1]}
    """

    def is_shape(value):
        return isinstance(value, (list, tuple)) and all(d is None or isinstance(d, int) for d in value)

    return jax.tree.map(func, structure, is_leaf=is_shape)


def traverse(func, structure, top_down=True):
    """Replaces parts: `func` sees every container and leaf, and returns None for what is to stay.

    Args:
        func: Returns a value to put in place, None to go on inside, or `MAP_TO_NONE`.
        top_down: Containers before what they hold, which is then not visited if the container was replaced.

    Example:
        >>> traverse(lambda v: sum(v) if isinstance(v, tuple) else None, [1, (2, 3)])
        [1, 5]
    """

    def put(result, otherwise):
        return None if result is MAP_TO_NONE else otherwise() if result is None else result

    def inside():
        return _map_children(lambda s: traverse(func, s, top_down), structure)

    if top_down:
        return put(func(structure), inside)
    inner = inside()
    return put(func(inner), lambda: inner)


def _map_children(func, structure):
    """Applies a function to what stands directly in a container; a leaf stays."""
    if not is_nested(structure):
        return structure
    return jax.tree.map(func, structure, is_leaf=lambda v: v is not structure)


__all__ = [
    "MAP_TO_NONE",
    "assert_same_paths",
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_shape_structure",
    "map_structure",
    "map_structure_up_to",
    "pack_sequence_as",
    "traverse",
]
