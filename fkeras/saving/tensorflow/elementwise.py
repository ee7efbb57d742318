"""Rules of primitives that compute element by element."""

import jax.numpy as jnp
import numpy as np

from fkeras.saving.tensorflow.emit import rule
from fkeras.saving.tensorflow.graph import DType, joined

_UNARY = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan",
    "atanh": "Atanh", "bessel_i0e": "BesselI0e", "bessel_i1e": "BesselI1e", "ceil": "Ceil", "conj": "Conj",
    "cos": "Cos", "cosh": "Cosh", "digamma": "Digamma", "erf": "Erf", "erf_inv": "Erfinv", "erfc": "Erfc",
    "exp": "Exp", "expm1": "Expm1", "floor": "Floor", "is_finite": "IsFinite", "lgamma": "Lgamma", "log": "Log",
    "log1p": "Log1p", "logistic": "Sigmoid", "neg": "Neg", "not": "Invert", "rsqrt": "Rsqrt", "sign": "Sign",
    "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt", "square": "Square", "stop_gradient": "StopGradient", "tan": "Tan",
    "tanh": "Tanh",
}  # fmt: skip
_BINARY = {
    "add": "AddV2", "add_any": "AddV2", "and": "BitwiseAnd", "atan2": "Atan2", "div": "RealDiv", "eq": "Equal",
    "ge": "GreaterEqual", "gt": "Greater", "igamma": "Igamma", "igammac": "Igammac", "le": "LessEqual", "lt": "Less",
    "max": "Maximum", "min": "Minimum", "mul": "Mul", "ne": "NotEqual", "nextafter": "NextAfter", "or": "BitwiseOr",
    "polygamma": "Polygamma", "pow": "Pow", "rem": "TruncateMod", "shift_left": "LeftShift",
    "shift_right_arithmetic": "RightShift", "sub": "Sub", "xor": "BitwiseXor", "zeta": "Zeta",
}  # fmt: skip
_OF_BOOLS = {"Invert": "LogicalNot", "BitwiseAnd": "LogicalAnd", "BitwiseOr": "LogicalOr", "BitwiseXor": "NotEqual",
             "AddV2": "LogicalOr", "Mul": "LogicalAnd", "Maximum": "LogicalOr", "Minimum": "LogicalAnd"}  # fmt: skip
_COMPARISONS = {"eq", "ge", "gt", "le", "lt", "ne"}


def _elementwise(op):
    def add(body, call):
        ins, name = call.ins, op
        if ins[0].dtype == jnp.bool_:
            name = _OF_BOOLS.get(op, op)
            if name in ("Less", "LessEqual", "Greater", "GreaterEqual"):
                ins = [body.cast(x, np.int32) for x in ins]
        elif name == "RealDiv" and jnp.issubdtype(ins[0].dtype, jnp.integer):
            name = "TruncateDiv"
        elif name == "Abs" and jnp.issubdtype(ins[0].dtype, jnp.complexfloating):
            return body.op("ComplexAbs", *ins, shape=ins[0].shape, dtype=call.out.dtype, Tout=DType(call.out.dtype))
        elif name == "Neg" and jnp.issubdtype(ins[0].dtype, jnp.unsignedinteger):
            return body.binary("Sub", body.const(0, ins[0].dtype), *ins)
        elif name == "TruncateMod" and jnp.issubdtype(ins[0].dtype, jnp.unsignedinteger):  # not among TensorFlow's
            wide = [body.cast(x, np.int64) for x in ins]
            return body.cast(body.binary(name, *wide), call.out.dtype)
        if name == "Pow":  # the exponent may be an integer
            ins = [body.cast(x, call.out.dtype) for x in ins]
        return body.op(name, *ins, shape=joined(*(x.shape for x in ins)), dtype=call.out.dtype)

    return add


for _name, _op in [*_UNARY.items(), *_BINARY.items()]:
    rule(_name, small=True)(_elementwise(_op))


def _scalar(body, like, value):
    return body.const(value, like.dtype)


@rule("copy", "copy_p", "optimization_barrier", "sharding_constraint", "pvary", small=True)
def _same(body, call):
    return list(call.ins)


@rule("convert_element_type", small=True)
def _convert(body, call):
    (x,), dtype = call.ins, call.out.dtype
    if dtype == jnp.bool_:
        return x if x.dtype == jnp.bool_ else body.binary("NotEqual", x, _scalar(body, x, 0), np.bool_)
    if x.value is not None and not x.value.shape:
        return body.const(x.value.astype(dtype))
    return body.cast(x, dtype)


@rule("reduce_precision", small=True)
def _reduce_precision(body, call):
    (x,), bits = call.ins, (call.params.exponent_bits, call.params.mantissa_bits)
    about = jnp.finfo(x.dtype)
    if bits[0] >= about.nexp and bits[1] >= about.nmant:
        return x
    dtype = {(8, 7): jnp.bfloat16, (5, 10): np.float16, (8, 23): np.float32}.get(bits)
    if dtype is None:
        raise ValueError(
            f"SavedModel: TensorFlow has no floats of {bits[0]} bits of exponent and {bits[1]} of mantissa."
        )
    return body.cast(body.cast(x, dtype), x.dtype)


@rule("population_count", small=True)
def _ones(body, call):
    (x,) = call.ins
    return body.cast(body.op("PopulationCount", x, shape=x.shape, dtype=np.uint8), call.out.dtype)


@rule("shift_right_logical", small=True)
def _shift(body, call):
    (x, by), dtype = call.ins, call.out.dtype
    plain = np.dtype(f"uint{8 * dtype.itemsize}")
    x, by = (
        t if t.dtype == plain else body.op("Bitcast", t, shape=t.shape, dtype=plain, type=DType(plain)) for t in (x, by)
    )
    found = body.binary("RightShift", x, by)
    return found if dtype == plain else body.op("Bitcast", found, shape=found.shape, dtype=dtype, type=DType(dtype))


@rule("integer_pow", small=True)
def _integer_pow(body, call):
    (x,), y = call.ins, call.params.y
    if y == 2:
        return body.op("Square", x, shape=x.shape)
    if y == -1:
        return body.binary("RealDiv", _scalar(body, x, 1), x)
    return body.binary("Pow", x, _scalar(body, x, y))


@rule("exp2", small=True)
def _exp2(body, call):
    return body.binary("Pow", _scalar(body, call.ins[0], 2), call.ins[0])


@rule("cbrt", small=True)
def _cbrt(body, call):
    (x,) = call.ins
    size = body.binary("Pow", body.op("Abs", x, shape=x.shape), _scalar(body, x, 1 / 3))
    return body.binary("Mul", body.op("Sign", x, shape=x.shape), size)


@rule("round", small=True)
def _round(body, call):
    (x,) = call.ins
    if int(call.params.rounding_method) == 1:  # to even
        return body.op("Round", x, shape=x.shape)
    up = body.binary("AddV2", body.op("Abs", x, shape=x.shape), _scalar(body, x, 0.5))
    return body.binary("Mul", body.op("Sign", x, shape=x.shape), body.op("Floor", up, shape=x.shape))


@rule("clamp", small=True)
def _clamp(body, call):
    low, x, high = call.ins
    return body.binary("Minimum", body.binary("Maximum", x, low), high)


@rule("select_n", small=True)
def _select(body, call):
    which, *cases = call.ins
    if which.dtype == jnp.bool_:
        return choose(body, which, cases[1], cases[0])
    out = cases[-1]
    for i, case in reversed(list(enumerate(cases[:-1]))):
        out = choose(body, body.binary("Equal", which, _scalar(body, which, i), np.bool_), case, out)
    return out


def choose(body, condition, yes, no):
    """Returns `yes` where the condition holds, `no` elsewhere."""
    return body.op("SelectV2", condition, yes, no, shape=joined(condition.shape, yes.shape, no.shape), dtype=yes.dtype)


@rule("lt_to", "le_to", "eq_to", small=True)
def _total_order(body, call):
    """Comparisons in which NaN equals NaN and is greater than all else."""
    (x, y), op = call.ins, {"lt_to": "Less", "le_to": "LessEqual", "eq_to": "Equal"}[call.name]
    plain = body.binary(op, x, y, np.bool_)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return plain
    nan_x, nan_y = (body.op("IsNan", t, shape=t.shape, dtype=np.bool_) for t in (x, y))
    if op == "Less":
        nan_x = body.op("LogicalNot", nan_x, shape=x.shape)
    more = nan_y if op == "LessEqual" else body.binary("LogicalAnd", nan_x, nan_y, np.bool_)
    return body.binary("LogicalOr", plain, more, np.bool_)


@rule("real", "imag", small=True)
def _part(body, call):
    (x,), dtype = call.ins, call.out.dtype
    return body.op(call.name.title(), x, shape=x.shape, dtype=dtype, Tout=DType(dtype))


@rule("complex", small=True)
def _complex(body, call):
    x, y = call.ins
    dtype = call.out.dtype
    return body.op("Complex", x, y, shape=joined(x.shape, y.shape), dtype=dtype, Tout=DType(dtype))


@rule("dim_as_value")
def _size(body, call):
    return body.cast(body.size(call.params.dim), call.out.dtype)
