"""The ops of `keras.ops.numpy`: a table over `jax.numpy`, and the functions whose rules are Keras's own."""

import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.operations import FLOAT, as_array, dtype_of, op, other_name, result_type, row, standard_dtype, to_float

HOME = "numpy"

# ------------------------------------------------------------------------------------------- element by element

for _name, _keras, _about in (
    ("angle", "Angle", "Angle of each complex number, in radians."),
    ("arccos", "Arccos", "Inverse cosine of each element, in radians."),
    ("arccosh", "Arccosh", "Inverse hyperbolic cosine of each element."),
    ("arcsin", "Arcsin", "Inverse sine of each element, in radians."),
    ("arcsinh", "Arcsinh", "Inverse hyperbolic sine of each element."),
    ("arctan", "Arctan", "Inverse tangent of each element, in radians."),
    ("arctanh", "Arctanh", "Inverse hyperbolic tangent of each element."),
    ("cbrt", "Cbrt", "Cube root of each element."),
    ("ceil", "Ceil", "Smallest whole number that is not below each element, as a float."),
    ("cos", "Cos", "Cosine of each element."),
    ("cosh", "Cosh", "Hyperbolic cosine of each element."),
    ("deg2rad", "Deg2rad", "Degrees as radians."),
    ("exp", "Exp", "e to the power of each element."),
    ("exp2", "Exp2", "2 to the power of each element."),
    ("expm1", "Expm1", "exp(x) - 1, exact for small x."),
    ("fabs", "Fabs", "Absolute value of each element, as a float."),
    ("floor", "Floor", "Largest whole number that is not above each element, as a float."),
    ("i0", "I0", "Modified Bessel function of the first kind and order 0."),
    ("log", "Log", "Natural logarithm of each element."),
    ("log10", "Log10", "Logarithm to base 10 of each element."),
    ("log1p", "Log1p", "log(1 + x), exact for small x."),
    ("log2", "Log2", "Logarithm to base 2 of each element."),
    ("rad2deg", "Rad2deg", "Radians as degrees."),
    ("sin", "Sin", "Sine of each element."),
    ("sinc", "Sinc", "sin(pi x) / (pi x), 1 at 0."),
    ("sinh", "Sinh", "Hyperbolic sine of each element."),
    ("sqrt", "Sqrt", "Square root of each element."),
    ("tan", "Tan", "Tangent of each element."),
    ("tanh", "Tanh", "Hyperbolic tangent of each element."),
):
    row(HOME, f"{_name}(x)", getattr(jnp, _name), _about, _keras, FLOAT)

for _name, _keras, _about in (
    ("absolute", "Absolute", "Absolute value of each element."),
    ("bitwise_invert", "BitwiseInvert", "Each bit of each integer turned; of bools the opposite."),
    ("bitwise_not", "BitwiseNot", "Each bit of each integer turned; of bools the opposite."),
    ("conjugate", "Conjugate", "Complex conjugate of each element."),
    ("copy", "Copy", "The same numbers in an array of their own."),
    ("imag", "Imag", "Imaginary part of each element."),
    ("isfinite", "Isfinite", "Whether each element is neither infinite nor NaN."),
    ("isinf", "Isinf", "Whether each element is infinite."),
    ("isnan", "Isnan", "Whether each element is NaN."),
    ("isneginf", "Isneginf", "Whether each element is minus infinity."),
    ("isposinf", "Isposinf", "Whether each element is plus infinity."),
    ("isreal", "Isreal", "Whether each element has no imaginary part."),
    ("logical_not", "LogicalNot", "Whether each element is zero or False."),
    ("negative", "Negative", "Minus each element."),
    ("real", "Real", "Real part of each element."),
    ("reciprocal", "Reciprocal", "One over each element."),
    ("sign", "Sign", "-1, 0 or 1, the sign of each element."),
    ("signbit", "Signbit", "Whether the sign of each element is minus, also of -0.0."),
    ("square", "Square", "Each element times itself."),
):
    row(HOME, f"{_name}(x)", getattr(jnp, _name, jnp.invert), _about, _keras)

for _name, _keras, _kind, _about in (
    ("add", "Add", None, "Sum of two arrays, element by element."),
    ("arctan2", "Arctan2", FLOAT, "Angle of the point (x2, x1), in radians."),
    ("divide", "Divide", None, "Quotient of two arrays, element by element, as floats."),
    ("equal", "Equal", None, "Whether elements are equal."),
    ("floor_divide", "FloorDivide", None, "Quotient of two arrays, rounded down."),
    ("fmax", "Fmax", None, "Larger of two elements; a number wins over NaN."),
    ("fmin", "Fmin", None, "Smaller of two elements; a number wins over NaN."),
    ("fmod", "Fmod", None, "Remainder with the sign of the dividend."),
    ("gcd", "Gcd", None, "Greatest common divisor of integers."),
    ("greater", "Greater", None, "Whether x1 > x2, element by element."),
    ("greater_equal", "GreaterEqual", None, "Whether x1 >= x2, element by element."),
    ("heaviside", "Heaviside", None, "0 where x1 < 0, x2 where x1 is 0, else 1."),
    ("hypot", "Hypot", None, "sqrt(x1^2 + x2^2), without overflow."),
    ("kron", "Kron", None, "Kronecker product of two arrays."),
    ("lcm", "Lcm", None, "Least common multiple of integers."),
    ("less", "Less", None, "Whether x1 < x2, element by element."),
    ("less_equal", "LessEqual", None, "Whether x1 <= x2, element by element."),
    ("logaddexp", "Logaddexp", FLOAT, "log(exp(x1) + exp(x2)), without overflow."),
    ("logaddexp2", "Logaddexp2", FLOAT, "log2(2^x1 + 2^x2), without overflow."),
    ("logical_and", "LogicalAnd", None, "Whether both elements are true; what is not zero is true."),
    ("logical_or", "LogicalOr", None, "Whether one of the elements is true; what is not zero is true."),
    ("logical_xor", "LogicalXor", None, "Whether just one of the elements is true; what is not zero is true."),
    ("maximum", "Maximum", None, "Larger of two elements."),
    ("minimum", "Minimum", None, "Smaller of two elements."),
    ("mod", "Mod", None, "Remainder with the sign of the divisor."),
    ("multiply", "Multiply", None, "Product of two arrays, element by element."),
    ("nextafter", "Nextafter", None, "Next float after x1 toward x2."),
    ("not_equal", "NotEqual", None, "Whether elements differ."),
    ("power", "Power", None, "x1 to the power of x2, element by element."),
    ("subtract", "Subtract", None, "Difference of two arrays, element by element."),
    ("dot", "Dot", None, "Inner product over the last axis of x1 and the last but one of x2."),
    ("inner", "Inner", None, "Inner product over the last axes of two arrays."),
    ("outer", "Outer", None, "Outer product of two arrays, each laid flat."),
    ("vdot", "Vdot", None, "Inner product of two arrays, each laid flat, the first conjugated."),
):
    row(HOME, f"{_name}(x1, x2)", getattr(jnp, _name), _about, _keras, _kind)

for _name, _keras, _about in (
    ("bitwise_and", "BitwiseAnd", "Bits that both integers have."),
    ("bitwise_or", "BitwiseOr", "Bits that one of the integers has."),
    ("bitwise_xor", "BitwiseXor", "Bits that just one of the integers has."),
    ("bitwise_left_shift", "BitwiseLeftShift", "Bits of x moved to the left by y places."),
    ("bitwise_right_shift", "BitwiseRightShift", "Bits of x moved to the right by y places."),
):
    row(
        HOME,
        f"{_name}(x, y)",
        getattr(jnp, _name.removeprefix("bitwise_") if "shift" in _name else _name),
        _about,
        _keras,
    )

# ------------------------------------------------------------------------------------------------- along axes

for _name, _keras, _about in (
    ("all", "All", "Whether all elements are true."),
    ("any", "Any", "Whether any element is true."),
    ("amax", "Amax", "Largest element."),
    ("amin", "Amin", "Smallest element."),
    (
        "argmax",
        "Argmax",
        "Place of the largest element, the first of equal ones, along an axis or in the array laid flat.",
    ),
    (
        "argmin",
        "Argmin",
        "Place of the smallest element, the first of equal ones, along an axis or in the array laid flat.",
    ),
    ("nanargmax", "Nanargmax", "Place of the largest element that is no NaN."),
    ("nanargmin", "Nanargmin", "Place of the smallest element that is no NaN."),
    ("nanmax", "Nanmax", "Largest element that is no NaN."),
    ("nanmean", "Nanmean", "Mean of the elements that are no NaN."),
    ("nanmedian", "Nanmedian", "Median of the elements that are no NaN."),
    ("nanmin", "Nanmin", "Smallest element that is no NaN."),
    ("nanprod", "Nanprod", "Product of the elements; NaN counts as 1."),
    ("nanstd", "Nanstd", "Standard deviation of the elements that are no NaN."),
    ("nansum", "Nansum", "Sum of the elements; NaN counts as 0."),
    ("nanvar", "Nanvar", "Variance of the elements that are no NaN."),
    ("ptp", "Ptp", "Largest element minus the smallest."),
    ("std", "Std", "Standard deviation of the elements."),
    ("sum", "Sum", "Sum of the elements."),
    ("median", "Median", "Median of the elements."),
):
    row(HOME, f"{_name}(x | axis=None, keepdims=False)", getattr(jnp, _name), _about, _keras)

row(HOME, "max(x | axis=None, keepdims=False, initial=None)", jnp.max, "Largest element.", "Max")
row(HOME, "min(x | axis=None, keepdims=False, initial=None)", jnp.min, "Smallest element.", "Min")
row(HOME, "prod(x | axis=None, keepdims=False, dtype=None)", jnp.prod, "Product of the elements.", "Prod")
row(HOME, "cumsum(x | axis=None, dtype=None)", jnp.cumsum, "Sum of all elements up to each.", "Cumsum")
row(HOME, "cumprod(x | axis=None, dtype=None)", jnp.cumprod, "Product of all elements up to each.", "Cumprod")
row(HOME, "nancumsum(x | axis=None, dtype=None)", jnp.nancumsum, "Running sum; NaN counts as 0.", "Nancumsum")
row(HOME, "nancumprod(x | axis=None, dtype=None)", jnp.nancumprod, "Running product; NaN counts as 1.", "Nancumprod")
for _name, _keras, _about in (
    ("quantile", "Quantile", "Value below which the share q of the elements lies."),
    ("percentile", "Percentile", "Value below which q percent of the elements lie."),
    ("nanquantile", "Nanquantile", "Value below which the share q of the elements that are no NaN lies."),
    ("nanpercentile", "Nanpercentile", "Value below which q percent of the elements that are no NaN lie."),
):
    row(HOME, f"{_name}(x, q | axis=None, method='linear', keepdims=False)", getattr(jnp, _name), _about, _keras)

# ----------------------------------------------------------------------------------------- shapes and places

row(HOME, "append(x1, x2 | axis=None)", jnp.append, "x2 joined to x1 along an axis, or both laid flat.", "Append")
row(HOME, "argpartition(x | kth, axis=-1)", jnp.argpartition, "Places that put the kth element where sorting would, "
    "smaller ones before it.", "Argpartition")  # fmt: skip
row(HOME, "broadcast_to(x | shape)", jnp.broadcast_to, "The array repeated to a shape.", "BroadcastTo")
row(HOME, "cross(x1, x2 | axisa=-1, axisb=-1, axisc=-1, axis=None)", jnp.cross, "Cross product of vectors.", "Cross")
row(HOME, "diag(x | k=0)", jnp.diag, "The k-th diagonal of a matrix, or the matrix with this diagonal.", "Diag")
row(HOME, "diagflat(x | k=0)", jnp.diagflat, "Matrix with the elements on its k-th diagonal.", "Diagflat")
row(
    HOME,
    "diagonal(x | offset=0, axis1=0, axis2=1)",
    jnp.diagonal,
    "Diagonal of two axes, on the last axis.",
    "Diagonal",
)
row(HOME, "diff(a | n=1, axis=-1)", jnp.diff, "Differences of neighbors, n times.", "Diff")
row(HOME, "digitize(x, bins)", jnp.digitize, "Number of the bin of each element; `bins` are rising edges.", "Digitize")
row(HOME, "expand_dims(x | axis)", jnp.expand_dims, "The array with axes of size 1 at these places.", "ExpandDims")
row(HOME, "flip(x | axis=None)", jnp.flip, "The elements in reverse order along axes.", "Flip")
row(HOME, "fliplr(x)", jnp.fliplr, "The elements in reverse order along axis 1.", "Fliplr")
row(HOME, "flipud(x)", jnp.flipud, "The elements in reverse order along axis 0.", "Flipud")
row(HOME, "moveaxis(x | source, destination)", jnp.moveaxis, "Axes moved to other places.", "Moveaxis")
row(
    HOME,
    "nan_to_num(x | nan=0.0, posinf=None, neginf=None)",
    jnp.nan_to_num,
    "NaN and infinities replaced.",
    "NanToNum",
)
row(HOME, "ravel(x)", jnp.ravel, "The array laid flat.", "Ravel")
row(HOME, "repeat(x | repeats, axis=None)", lambda x, repeats, axis=None: jnp.repeat(x, as_array(repeats), axis=axis),
    "Each element repeated.", "Repeat", source="jax.numpy.repeat")  # fmt: skip
row(HOME, "roll(x | shift, axis=None)", jnp.roll, "The elements moved along axes, round the end.", "Roll")
row(HOME, "sort(x | axis=-1)", jnp.sort, "The elements in rising order.", "Sort")
row(HOME, "squeeze(x | axis=None)", jnp.squeeze, "The array without axes of size 1.", "Squeeze")
row(HOME, "swapaxes(x | axis1, axis2)", jnp.swapaxes, "Two axes in each other's place.", "Swapaxes")
row(HOME, "take(x, indices | axis=None)", jnp.take, "The elements at indices along an axis.", "Take")
row(HOME, "take_along_axis(x, indices | axis=None)", jnp.take_along_axis, "The elements at indices of each line's own "
    "along an axis.", "TakeAlongAxis")  # fmt: skip
row(HOME, "tensordot(x1, x2 | axes=2)", jnp.tensordot, "Sum of products over axes of both arrays.", "Tensordot")
row(HOME, "tile(x | repeats)", lambda x, repeats: jnp.tile(x, repeats), "The array repeated along axes.", "Tile",
    source="jax.numpy.tile")  # fmt: skip
row(HOME, "trace(x | offset=0, axis1=0, axis2=1)", jnp.trace, "Sum of the elements of a diagonal.", "Trace")
row(HOME, "transpose(x | axes=None)", jnp.transpose, "The axes in another order, by default reversed.", "Transpose")
row(HOME, "tril(x | k=0)", jnp.tril, "The array with zeros above the k-th diagonal.", "Tril")
row(HOME, "triu(x | k=0)", jnp.triu, "The array with zeros below the k-th diagonal.", "Triu")
row(HOME, "vander(x | N=None, increasing=False)", jnp.vander, "Matrix of the powers of each element.", "Vander")
row(HOME, "isin(x1, x2 | assume_unique=False, invert=False)", jnp.isin, "Whether each element of x1 is in x2.", "IsIn")
row(HOME, "corrcoef(x)", jnp.corrcoef, "Correlations of the rows of a matrix.", "Corrcoef")
row(HOME, "correlate(x1, x2 | mode='valid')", jnp.correlate, "Cross-correlation of two sequences.", "Correlate")
row(HOME, "isclose(x1, x2, rtol=1e-05, atol=1e-08 | equal_nan=False)", jnp.isclose, "Whether |x1 - x2| <= atol + "
    "rtol |x2|.", "Isclose")  # fmt: skip
row(HOME, "allclose(x1, x2 | rtol=1e-05, atol=1e-08, equal_nan=False)", jnp.allclose, "Whether all elements are close.",
    "AllClose")  # fmt: skip
row(HOME, "slogdet(x)", lambda x: tuple(jnp.linalg.slogdet(x)), "Sign and logarithm of the determinant.", "Slogdet",
    source="jax.numpy.linalg.slogdet")  # fmt: skip
row(HOME, "size(x)", jnp.size, "Number of elements.", "Size")
row(HOME, "ndim(x)", jnp.ndim, "Number of axes.", "Ndim")
row(HOME, "nonzero(x)", jnp.nonzero, "Places of the elements that are not zero, an array an axis.", "Nonzero")
for _name, _about in (("zeros_like", "Zeros"), ("ones_like", "Ones"), ("empty_like", "Numbers that mean nothing")):
    row(HOME, f"{_name}(x | dtype=None)", getattr(jnp, _name), f"{_about} in the shape and dtype of an array.",
        "".join(w.capitalize() for w in _name.split("_")))  # fmt: skip
row(HOME, "full_like(x, fill_value | dtype=None)", jnp.full_like, "One number in the shape of an array.", "FullLike")


def _window(name):
    return lambda x: getattr(jnp, name)(int(x)).astype(dtypes.floatx())


for _name, _about in (
    ("bartlett", "A triangle"),
    ("blackman", "0.42 - 0.5 cos + 0.08 cos of twice the angle"),
    ("hamming", "0.54 - 0.46 cos"),
    ("hanning", "0.5 - 0.5 cos"),
):
    row(HOME, f"{_name}(x)", _window(_name), f"Window of x values: {_about}.", None, source=f"jax.numpy.{_name}")

for _new, _old, _keras in (
    ("abs", "absolute", None),
    ("conj", "conjugate", None),
    ("true_divide", "divide", "TrueDivide"),
    ("left_shift", "bitwise_left_shift", "LeftShift"),
    ("right_shift", "bitwise_right_shift", "RightShift"),
):
    other_name(_new, _old, _keras)


# ------------------------------------------------------------------------------------- rules that are Keras's own


@op(HOME, "Round", settings="decimals")
def round(x, decimals=0):
    """Each element to so many decimals, halves to the even neighbor; negative `decimals` round tens, hundreds, ...

    Source: `jax.numpy.round`, by Keras's names and dtypes.
    """
    x = jnp.asarray(x)
    if decimals < 0 and jnp.issubdtype(x.dtype, jnp.integer):
        unit = 10.0**-decimals
        return (jnp.round(x.astype(dtypes.floatx()) / unit) * unit).astype(x.dtype)
    return jnp.round(x, decimals=decimals)


@op(HOME, "Trunc")
def trunc(x):
    """Each element without its decimals; integers stay as they are.

    Source: `jax.numpy.trunc`, by Keras's names and dtypes.
    """
    x = jnp.asarray(x)
    return jnp.trunc(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x


@op(HOME, "Clip", settings="x_min x_max")
def clip(x, x_min, x_max):
    """Each element, moved into [x_min, x_max]; bools become integers.

    Source: `jax.numpy.clip`, by Keras's names and dtypes.
    """
    x = jnp.asarray(x)
    return jnp.clip(x.astype("int32") if x.dtype == bool else x, x_min, x_max)


@op(HOME, "DivideNoNan")
def divide_no_nan(x1, x2):
    """Quotient of two arrays, element by element, and 0 where the divisor is 0; so are its slopes.

    Source: `jax.numpy.divide`.
    """
    is_zero = jnp.asarray(x2) == 0
    return jnp.where(is_zero, 0, jnp.divide(x1, jnp.where(is_zero, 1, x2)))


@op(HOME, "Ldexp")
def ldexp(x1, x2):
    """x1 * 2^x2.

    Raises:
        TypeError: `x2` are no integers.

    Source: `jax.numpy.ldexp`.
    """
    if not jnp.issubdtype(jnp.result_type(x2), jnp.integer):
        raise TypeError(f"ops.ldexp: expected integers as exponents, got {jnp.result_type(x2)}. Use x1 * 2.0 ** x2.")
    return jnp.ldexp(x1, x2)


@op(HOME, "Mean", settings="axis keepdims")
def mean(x, axis=None, keepdims=False):
    """Mean of the elements; that of integers is a float, that of half precision is computed in float32.

    Example:
        >>> mean([[1, 2], [3, 5]], axis=1).tolist()
        [1.5, 4.0]

    Source: `jax.numpy.mean`, by Keras's names and dtypes.
    """
    x = jnp.asarray(x)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    out = jnp.mean(x, axis=_axes(axis), keepdims=keepdims, dtype=wide)
    return out.astype(x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else wide)


@op(HOME, "Var", settings="axis keepdims")
def var(x, axis=None, keepdims=False):
    """Variance of the elements: the mean of squared distances to the mean. Half precision is computed in float32.

    Source: `jax.numpy.var`, by Keras's names and dtypes.
    """
    x = jnp.asarray(x)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return jnp.var(x, axis=_axes(axis), keepdims=keepdims, dtype=wide).astype(result_type(x.dtype, float))


@op(HOME, "Average", settings="axis")
def average(x, axis=None, weights=None):
    """Weighted mean: sum(weights * x) / sum(weights).

    Source: `jax.numpy.average`, by Keras's names and dtypes.
    """
    x, weights = to_float(x, weights)
    return jnp.average(x, weights=weights, axis=_axes(axis))


@op(HOME, "CountNonzero", settings="axis")
def count_nonzero(x, axis=None):
    """How many elements are not zero, as int32.

    Source: `jax.numpy.count_nonzero`.
    """
    return jnp.count_nonzero(x, axis=_axes(axis)).astype("int32")


@op(HOME, "Argsort", settings="axis")
def argsort(x, axis=-1):
    """Places of the elements in rising order; equal ones keep their order.

    Source: `jax.numpy.argsort`.
    """
    x = jnp.asarray(x)
    return jnp.argsort(x, axis=None if x.ndim == 0 else axis)


@op(HOME, "Matmul")
def matmul(x1, x2):
    """Matrix product over the last two axes; that of two int8 arrays is int32.

    Source: `jax.numpy.matmul`, by Keras's dtypes.
    """
    return jnp.matmul(x1, x2, preferred_element_type=_wide_enough(x1, x2))


@op(HOME, "Einsum", settings="subscripts", raw="kwargs")
def einsum(subscripts, *operands, **kwargs):
    """Sums of products over the axes that the letters of `subscripts` name: "bij,bjk->bik".

    Source: `jax.numpy.einsum`, by Keras's dtypes.
    """
    return jnp.einsum(subscripts, *operands, **{"preferred_element_type": _wide_enough(*operands), **kwargs})


def _wide_enough(*arrays):
    return jnp.int32 if {str(dtype_of(a)) for a in arrays} == {"int8"} else None


@op(HOME, "Concatenate", settings="axis", lists="xs")
def concatenate(xs, axis=0):
    """Arrays joined along an axis.

    Source: `jax.numpy.concatenate`.
    """
    return jnp.concatenate(xs, axis=axis)


@op(HOME, "Stack", settings="axis", lists="x")
def stack(x, axis=0):
    """Arrays of one shape joined along a new axis.

    Source: `jax.numpy.stack`.
    """
    return jnp.stack(x, axis=axis)


@op(HOME, "Hstack", lists="xs")
def hstack(xs):
    """Arrays joined along axis 1, or vectors end to end.

    Source: `jax.numpy.hstack`.
    """
    return jnp.hstack(xs)


@op(HOME, "Vstack", lists="xs")
def vstack(xs):
    """Arrays joined along axis 0; vectors are its rows.

    Source: `jax.numpy.vstack`.
    """
    return jnp.vstack(xs)


@op(HOME, "Dstack", lists="xs")
def dstack(xs):
    """Arrays joined along axis 2.

    Source: `jax.numpy.dstack`.
    """
    return jnp.dstack(xs)


def _splitter(function, keras, about, axis=True):
    if axis:

        def split(x, indices_or_sections, axis=0):
            return function(x, _places(indices_or_sections), axis=axis)
    else:

        def split(x, indices_or_sections):
            return function(x, _places(indices_or_sections))

    split.__name__ = function.__name__
    split.__doc__ = (
        f"{about}\n\n    `indices_or_sections` is how many parts, or the places where they begin. Returns a list."
        f"\n\n    Source: `jax.numpy.{function.__name__}`.\n    "
    )
    op(HOME, keras, settings="indices_or_sections axis" if axis else "indices_or_sections")(split)


def _places(value):
    return tuple(value) if isinstance(value, list) else value


_splitter(jnp.split, "Split", "Parts of an array along an axis, of equal size.")
_splitter(jnp.array_split, "ArraySplit", "Parts of an array along an axis, of nearly equal size.")
_splitter(jnp.hsplit, "Hsplit", "Parts of an array along axis 1.", axis=False)
_splitter(jnp.vsplit, "Vsplit", "Parts of an array along axis 0.", axis=False)
_splitter(jnp.dsplit, "Dsplit", "Parts of an array along axis 2.", axis=False)


@op(HOME, "Reshape", settings="newshape")
def reshape(x, newshape):
    """The elements in another shape; one size may be -1, or None, and follows from the others.

    Source: `jax.numpy.reshape`.
    """
    newshape = (newshape,) if np.ndim(newshape) == 0 and not isinstance(newshape, tuple) else tuple(newshape)
    return jnp.reshape(x, tuple(-1 if n is None else n for n in newshape))


@op(HOME, "Rot90", settings="k axes")
def rot90(array, k=1, axes=(0, 1)):
    """The plane of two axes turned by 90 degrees, k times.

    Raises:
        ValueError: The array has less than two axes, or the two are one.

    Source: `jax.numpy.rot90`.
    """
    array = jnp.asarray(array)
    if array.ndim < 2 or len(axes) != 2 or axes[0] == axes[1]:
        raise ValueError(f"ops.rot90: expected two axes of an array, got axes={axes} and shape {array.shape}.")
    return jnp.rot90(array, k=k, axes=tuple(axes))


@op(HOME, "Pad", settings="pad_width mode", raw="constant_values")
def pad(x, pad_width, mode="constant", constant_values=None):
    """The array with more cells around it.

    Args:
        x: Array.
        pad_width: (before, after) for each axis, or one for all.
        mode: "constant", "reflect", "symmetric", "edge", ...
        constant_values: What the new cells hold, with "constant" only; 0 by default.

    Raises:
        ValueError: `constant_values` with another mode.

    Source: `jax.numpy.pad`.
    """
    if constant_values is None:
        return jnp.pad(x, pad_width, mode=mode)
    if mode != "constant":
        raise ValueError(f"ops.pad: constant_values goes with mode='constant' only, got mode={mode!r}.")
    return jnp.pad(x, pad_width, mode=mode, constant_values=as_array(constant_values))


@op(HOME, "Where")
def where(condition, x1=None, x2=None):
    """x1 where the condition is true, else x2. Without them the places where it is true, an array an axis.

    Source: `jax.numpy.where`.
    """
    return jnp.where(condition, x1, x2)


@op(HOME, "Select", lists="condlist choicelist")
def select(condlist, choicelist, default=0):
    """The element of the first choice whose condition is true, else the default.

    Source: `jax.numpy.select`.
    """
    return jnp.select(list(condlist), list(choicelist), default=default)


@op(HOME, "GetItem", raw="key")
def get_item(x, key):
    """x[key].

    Source: Python's indexing of JAX arrays.
    """
    return jnp.asarray(x)[tuple(key) if isinstance(key, list) else key]


@op(HOME, "SearchSorted", settings="side")
def searchsorted(sorted_sequence, values, side="left"):
    """Places where values go in a sorted sequence; before ("left") or behind equal ones ("right").

    Raises:
        ValueError: The sequence has more than one axis.

    Source: `jax.numpy.searchsorted`.
    """
    if jnp.ndim(sorted_sequence) != 1:
        raise ValueError(
            f"ops.searchsorted: expected a sequence with one axis, got shape {jnp.shape(sorted_sequence)}. Use "
            f"ops.vectorized_map for several."
        )
    return jnp.searchsorted(sorted_sequence, values, side=side)


@op(HOME, "UnravelIndex", settings="shape")
def unravel_index(indices, shape):
    """Places in an array of a shape of places in it laid flat: a tuple with an array an axis.

    Source: `jax.numpy.unravel_index`.
    """
    return jnp.unravel_index(indices, tuple(shape))


@op(HOME, "Trapezoid", settings="x dx axis")
def trapezoid(y, x=None, dx=1.0, axis=-1):
    """Integral along an axis by straight lines between samples `dx` apart, or at `x`.

    Source: `jax.numpy.trapezoid`.
    """
    return jnp.trapezoid(y, as_array(x), dx=jnp.asarray(dx), axis=axis)


@op(HOME, "Meshgrid", settings="indexing")
def meshgrid(*x, indexing="xy"):
    """Coordinates of a grid: a list with an array for each vector, all of one shape.

    Source: `jax.numpy.meshgrid`.
    """
    return jnp.meshgrid(*x, indexing=indexing)


@op(HOME, "View", settings="dtype")
def view(x, dtype=None):
    """The same bits read as another dtype.

    Source: `jax.Array.view`.
    """
    return jnp.asarray(x).view(dtype)


@op(HOME, "Unique", settings="sorted return_index return_inverse return_counts axis size fill_value")
def unique(
    x,
    sorted=True,
    return_index=False,
    return_inverse=False,
    return_counts=False,
    axis=None,
    size=None,
    fill_value=None,
):
    """The different elements, or slices along an axis, each once.

    With `size` there are just so many, filled up with `fill_value`; compiled programs and symbols need it.

    Source: `jax.numpy.unique`.
    """
    return jnp.unique(
        x,
        return_index=return_index,
        return_inverse=return_inverse,
        return_counts=return_counts,
        axis=axis,
        equal_nan=False,
        size=size,
        fill_value=fill_value,
        sorted=sorted,
    )


@op(HOME, "Histogram", settings="bins range")
def histogram(x, bins=10, range=None):
    """(counts, edges): how many elements lie in each of `bins` parts of equal width.

    Source: `jax.numpy.histogram`.
    """
    return jnp.histogram(x, bins=bins if isinstance(bins, int) else as_array(bins), range=range)


@op(HOME, "Bincount", settings="weights minlength sparse")
def bincount(x, weights=None, minlength=0, sparse=False):
    """How often each number from 0 on occurs, or the sum of its weights; of a matrix for each row.

    The result is as long as the largest number needs, at least `minlength`, so that it cannot be compiled.

    Raises:
        ValueError: `sparse` is True: there are no sparse arrays here.

    Source: `jax.numpy.bincount`.
    """
    dense(sparse, "bincount")
    x, weights = jnp.asarray(x), as_array(weights)
    if x.ndim == 1:
        return jnp.bincount(x, weights=weights, minlength=minlength)
    length = max_of(x, minlength)
    rows = [jnp.bincount(r, None if weights is None else weights[i], length=length) for i, r in enumerate(x)]
    return jnp.stack(rows)


def max_of(x, least):
    """Returns the length that counts of the numbers in `x` need, as int."""
    return int(np.maximum(np.max(np.asarray(x), initial=-1) + 1, least))


def dense(sparse, name):
    """Raises ValueError for `sparse=True`."""
    if sparse:
        raise ValueError(f"ops.{name}: sparse=True, but fkeras has no sparse arrays. Leave `sparse` out.")


@op(HOME, "Array", settings="dtype", converts=False)
def array(x, dtype=None):
    """An array of nested lists, numbers or another array, copied.

    Source: `jax.numpy.array`.
    """
    x = jnp.asarray(as_array(x))
    return jnp.array(x, dtype=None if dtype is None else standard_dtype(dtype))


@op(HOME, None, converts=False)
def vectorize(pyfunc, *, excluded=None, signature=None):
    """A function of arrays that applies one of numbers, or of parts as `signature` says, to each element.

    Source: `jax.numpy.vectorize`.
    """
    return jnp.vectorize(pyfunc, excluded=excluded or set(), signature=signature)


@op(HOME, None, raw="beta")
def kaiser(x, beta):
    """Window of x values: Bessel functions, the larger `beta` the narrower.

    Source: `jax.numpy.kaiser`.
    """
    return jnp.kaiser(int(x), beta).astype(dtypes.floatx())


# ------------------------------------------------------------------------------------------- made of nothing


def _sizes(shape):
    return tuple(shape) if isinstance(shape, (list, tuple)) else shape


@op(HOME, None, raw="shape")
def zeros(shape, dtype=None):
    """Zeros in a shape; floatx by default.

    Source: `jax.numpy.zeros`.
    """
    return jnp.zeros(_sizes(shape), dtype or dtypes.floatx())


@op(HOME, None, raw="shape")
def ones(shape, dtype=None):
    """Ones in a shape; floatx by default.

    Source: `jax.numpy.ones`.
    """
    return jnp.ones(_sizes(shape), dtype or dtypes.floatx())


@op(HOME, None, raw="shape")
def empty(shape, dtype=None):
    """Numbers that mean nothing in a shape; floatx by default.

    Source: `jax.numpy.empty`.
    """
    return jnp.empty(_sizes(shape), dtype or dtypes.floatx())


@op(HOME, "Full", settings="shape dtype", raw="shape")
def full(shape, fill_value, dtype=None):
    """One number in a shape; floatx by default.

    Source: `jax.numpy.full`.
    """
    return jnp.full(_sizes(shape), fill_value, dtype or dtypes.floatx())


@op(HOME, None, raw="N M k")
def eye(N, M=None, k=0, dtype=None):
    """Matrix of N rows and M columns with ones on the k-th diagonal; floatx by default.

    Source: `jax.numpy.eye`.
    """
    return jnp.eye(N, M=M, k=k, dtype=dtype or dtypes.floatx())


@op(HOME, None, raw="n")
def identity(n, dtype=None):
    """Square matrix with ones on its diagonal; floatx by default.

    Source: `jax.numpy.identity`.
    """
    return jnp.identity(n, dtype=dtype or dtypes.floatx())


@op(HOME, None, raw="N M k")
def tri(N, M=None, k=0, dtype=None):
    """Matrix with ones on and below the k-th diagonal; floatx by default.

    Source: `jax.numpy.tri`.
    """
    return jnp.tri(N, M=M, k=k, dtype=dtype or dtypes.floatx())


@op(HOME, "Arange", settings="dtype", raw="start stop step")
def arange(start, stop=None, step=None, dtype=None):
    """Numbers from `start` to before `stop`, `step` apart; with one argument from 0 to before it.

    Source: `jax.numpy.arange`, by Keras's dtypes: integers give int32, a float among them floatx.
    """
    if dtype is None:
        dtype = result_type(*(dtype_of(v) for v in (start, stop, step) if v is not None))
    return jnp.arange(start, stop, step, dtype=dtype)


@op(HOME, "Linspace", settings="num endpoint retstep dtype axis")
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """`num` numbers from `start` to `stop`, equally far apart.

    Source: `jax.numpy.linspace`.
    """
    return jnp.linspace(start, stop, num=num, endpoint=endpoint, retstep=retstep, dtype=dtype, axis=axis)


@op(HOME, "Logspace", settings="num endpoint base dtype axis")
def logspace(start, stop, num=50, endpoint=True, base=10, dtype=None, axis=0):
    """`num` powers of `base`, whose exponents go from `start` to `stop`.

    Source: `jax.numpy.logspace`.
    """
    return jnp.logspace(start, stop, num=num, endpoint=endpoint, base=base, dtype=dtype, axis=axis)


@op(HOME, "Geomspace", settings="num endpoint dtype axis")
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """`num` numbers from `start` to `stop`, each the same multiple of the one before.

    Source: `jax.numpy.geomspace`.
    """
    return jnp.geomspace(start, stop, num=num, endpoint=endpoint, dtype=dtype, axis=axis)


def _axes(axis):
    return tuple(axis) if isinstance(axis, list) else axis
