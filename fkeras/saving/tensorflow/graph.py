"""Graphs of TensorFlow's operations, put together one operation at a time.

A `Body` collects the nodes of one function. Its values are `Tensor`s: a reference to a node's output, with its dtype
and shape. A size that follows the batch is an expression of `jax.export`'s, such as 4*b + 1; `Body.size` computes it.
"""

import ast
import re

import jax.numpy as jnp
import numpy as np

from fkeras.core.tensors import number_of, shape_message

# What an operation calls its output, and its attributes of dtypes, input by input ("-": it has none for this one).
_OPERATIONS = """
y T: Abs Neg Exp Expm1 Log Log1p Sqrt Rsqrt Square Sigmoid Tanh Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh
y T: Erf Erfc Erfinv Lgamma Digamma Sign Floor Ceil Round Invert PopulationCount BesselI0e BesselI1e ComplexAbs
y T: IsFinite IsNan
y -: LogicalNot
y SrcT: Cast
y T Tperm: Transpose
z T -: AddV2 Sub Mul RealDiv TruncateDiv FloorDiv FloorMod TruncateMod Maximum Minimum Pow Atan2 Igamma Igammac Zeta
z T -: Polygamma Betainc LeftShift RightShift BitwiseAnd BitwiseOr BitwiseXor
z T -: Equal NotEqual Less LessEqual Greater GreaterEqual
z - -: LogicalAnd LogicalOr
output T: StopGradient Identity Real Imag Conj NextAfter Bitcast
out T: Complex
output Treal: RFFT
output Tcomplex: FFT IFFT IRFFT
output - T: SelectV2
output T Tidx: Sum Prod Max Min BroadcastTo ArgMax ArgMin
output - Tidx: Any All
out T Tidx: Cumsum Cumprod CumulativeLogsumexp
output T Tshape: Reshape
output T: Shape Pack Unpack ConcatV2 MaxPool MaxPool3D AvgPool AvgPool3D Conv2D Conv3D DepthwiseConv2dNative
output T Index: StridedSlice Slice
output T Tlen: SplitV
output T Tpaddings: Pad PadV2
output T Tidx: ReverseV2
output T Tmultiples: Tile
output Tidx: Range
output Tparams Tindices Taxis: GatherV2
output T Tindices: TensorScatterUpdate TensorScatterAdd TensorScatterMax TensorScatterMin
values T Tk: TopKV2
product T: MatMul
output T: BatchMatMulV2
output - T: Conv2DBackpropInput
output Tshape T: Conv3DBackpropInputV2
output: StatelessWhile StatelessIf StatelessCase StatefulPartitionedCall
handle shape_type: TensorListReserve TensorListFromTensor
output_handle: TensorListSetItem
item: TensorListGetItem
tensor: TensorListStack
"""
_OUT = {}
for _line in _OPERATIONS.strip().splitlines():
    (_out, *_attrs), _names = (part.split() for part in _line.split(":"))
    _OUT |= {name: (_out, _attrs) for name in _names}


class Tensor:
    """An output of a node: reference, dtype (NumPy's, or "resource", "variant"), shape; `value` where it is known."""

    __slots__ = ("dtype", "ref", "shape", "value")

    def __init__(self, ref, dtype, shape, value=None):
        self.ref, self.shape, self.value = ref, tuple(shape), value
        self.dtype = dtype if dtype in ("resource", "variant", "string") else jnp.dtype(dtype)


class Function:
    """The name of a function, as the attribute of a node that calls it."""

    def __init__(self, name):
        self.name = name


class DType:
    """A dtype as the attribute of a node."""

    def __init__(self, dtype):
        self.number = number_of(dtype)


class Shape(tuple):
    """A shape as the attribute of a node."""

    __slots__ = ()


class Strings(tuple):
    """A constant of strings (bytes) as the attribute of a node."""

    __slots__ = ()


def attribute(value):
    """Returns the message of a node's attribute."""
    if isinstance(value, Strings):
        shape = shape_message([len(value)])
        return {"tensor": {"dtype": number_of("string"), "tensor_shape": shape, "string_val": list(value)}}
    if isinstance(value, (list, tuple)) and not isinstance(value, Shape):
        found = {}
        for one in map(attribute, value):
            for kind, inner in one.items():
                found.setdefault(kind, []).append(inner)
        return {"list": found}
    if isinstance(value, bool):
        return {"b": value}
    if isinstance(value, (int, np.integer)):
        return {"i": int(value)}
    if isinstance(value, float):
        return {"f": value}
    if isinstance(value, (str, bytes)):
        return {"s": value.encode() if isinstance(value, str) else value}
    if isinstance(value, DType):
        return {"type": value.number}
    if isinstance(value, Shape):
        return {"shape": shape_message(value)}
    if isinstance(value, Function):
        return {"func": {"name": value.name}}
    value = np.asarray(value)
    about = {"dtype": number_of(value.dtype), "tensor_shape": shape_message(value.shape)}
    return {"tensor": {**about, "tensor_content": value.tobytes()}}


class Nodes:
    """Nodes with names that are told apart."""

    def __init__(self):
        self.nodes, self._names, self.scope = [], {}, ""

    def add(self, op, refs, attrs, name=None):
        """Adds a node; returns its name."""
        name = re.sub(r"[^A-Za-z0-9_./-]", "_", f"{self.scope}/{name or op}".strip("/"))
        name = name if re.match(r"[A-Za-z0-9.]", name) else f"x{name}"
        n = self._names[name.lower()] = self._names.get(name.lower(), -1) + 1
        while n and f"{name}_{n}".lower() in self._names:
            n += 1
        if n:
            name = f"{name}_{n}"
            self._names[name.lower()] = 0
        attr = {k: attribute(v) for k, v in attrs.items()}
        self.nodes.append({"name": name, "op": op, "input": list(refs), "attr": attr})
        return name


class Body(Nodes):
    """The nodes of one function.

    Args:
        name: The function's name.
        library: List that functions are added to when they are complete.
    """

    def __init__(self, name, library):
        super().__init__()
        self.name, self.library = name, library
        self.args, self.sizes = [], {}  # sizes: {name of a free size: scalar int32}
        self.effects = []  # names of nodes that run though nothing takes their output
        self._constants, self._flipped = {}, {}

    # ---------------------------------------------------------------------------------------- the ends

    def arg(self, dtype, shape):
        """Adds an argument."""
        tensor = Tensor(f"x{len(self.args)}", dtype, shape)
        self.args.append(tensor)
        return tensor

    def finish(self, outs):
        """Adds the function to the library; `outs` are its results."""
        self.scope = ""
        names = [f"y{i}" for i in range(len(outs))]
        outs = [Tensor(f"{self.add('Identity', [t.ref], {'T': DType(t.dtype)})}:output:0", t.dtype, t.shape)
                for t in outs]  # fmt: skip
        signature = {
            "name": self.name,
            "control_output": self.effects,
            "is_stateful": bool(self.effects),
            "input_arg": [{"name": t.ref, "type": number_of(t.dtype)} for t in self.args],
            "output_arg": [
                {"name": name, "type": number_of(t.dtype)} for name, t in zip(names, outs, strict=True)
            ],
        }  # fmt: skip
        shapes = {
            i: {"attr": {"_output_shapes": attribute([Shape(t.shape)])}}
            for i, t in enumerate(self.args)
            if t.dtype not in ("resource", "variant")
        }
        self.library.append(
            {
                "signature": signature,
                "node_def": self.nodes,
                "ret": {name: t.ref for name, t in zip(names, outs, strict=True)},
                "control_ret": {name: name for name in self.effects},
                "arg_attr": shapes,
            }
        )
        return Function(self.name)

    def inner(self, name):
        """Returns the body of a new function of the library."""
        return Body(f"{self.name}_{name}_{len(self.library)}", self.library)

    # ------------------------------------------------------------------------------------------ nodes

    def op(self, op, *inputs, shape, dtype=None, count=None, output=None, **attrs):
        """Adds an operation; returns its output, or a list of `count` of them, whose shapes and dtypes are lists."""
        out, typed = _OUT[op]
        flat = [t for one in inputs for t in (one if isinstance(one, list) else [one])]
        firsts = [one[0] if isinstance(one, list) else one for one in inputs]
        found = {a: DType(t.dtype) for a, t in zip(typed, firsts, strict=False) if a != "-"}
        name = self.add(op, [t.ref for t in flat], {**found, **attrs})
        out = output or out
        if count is None:
            return Tensor(f"{name}:{out}:0", dtype or firsts[0].dtype, shape)
        return [Tensor(f"{name}:{out}:{i}", d, s) for i, (d, s) in enumerate(zip(dtype, shape, strict=True))]

    def read(self, variable, dtype, shape):
        """Returns the value of a variable, given as a resource."""
        name = self.add("ReadVariableOp", [variable.ref], {"dtype": DType(dtype)})
        return Tensor(f"{name}:value:0", dtype, shape)

    def const(self, value, dtype=None):
        """Returns a constant; equal ones are one node."""
        value = np.asarray(value, dtype)
        key = (value.dtype, value.shape, value.tobytes())
        if key not in self._constants:
            scope, self.scope = self.scope, ""
            name = self.add("Const", [], {"dtype": DType(value.dtype), "value": value})
            self.scope = scope
            self._constants[key] = Tensor(f"{name}:output:0", value.dtype, value.shape, value)
        return self._constants[key]

    def ints(self, values):
        """Returns int32 constants."""
        return self.const(np.array(values, np.int32))

    # ------------------------------------------------------------------------------------------ sizes

    def learn_sizes(self, tensor):
        """Remembers where the free sizes that stand alone in a tensor's shape can be had from."""
        for axis, size in enumerate(tensor.shape):
            if not is_known(size) and str(size) not in self.sizes and str(size).isidentifier():
                whole = self.op("Shape", tensor, shape=(len(tensor.shape),), dtype=np.int32)
                at = [self.ints([axis]), self.ints([axis + 1]), self.ints([1])]
                self.sizes[str(size)] = self.op("StridedSlice", whole, *at, shape=(), shrink_axis_mask=1)

    def size(self, size):
        """Returns a size as a scalar int32."""
        if is_known(size):
            return self.ints(int(size))
        key = str(size)
        if key not in self.sizes:
            self.sizes[key] = self._evaluate(ast.parse(key.replace("^", "**"), mode="eval").body)
        return self.sizes[key]

    def _evaluate(self, node):
        if isinstance(node, ast.Constant):
            return self.ints(node.value)
        if isinstance(node, ast.Name):
            return self.sizes[node.id]
        if isinstance(node, ast.UnaryOp):
            return self.op("Neg", self._evaluate(node.operand), shape=())
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            return self.op("Pow", self._evaluate(node.left), self._evaluate(node.right), shape=())
        if isinstance(node, ast.BinOp):
            op = {ast.Add: "AddV2", ast.Sub: "Sub", ast.Mult: "Mul"}[type(node.op)]
            return self.op(op, self._evaluate(node.left), self._evaluate(node.right), shape=())
        op = {"floordiv": "FloorDiv", "mod": "FloorMod", "max": "Maximum", "min": "Minimum"}[node.func.id]
        return self.op(op, *map(self._evaluate, node.args), shape=())

    def shape(self, shape, infer=False):
        """Returns a shape as an int32 vector; with `infer` a single unknown size is -1."""
        free = [i for i, d in enumerate(shape) if not is_known(d)]
        if not free or (infer and len(free) == 1 and 0 not in shape):
            return self.ints([d if is_known(d) else -1 for d in shape])
        parts = [self.size(d) for d in shape]
        return self.op("Pack", parts, shape=(len(shape),), N=len(parts))

    # ------------------------------------------------------------------------------------ rearranging

    def reshape(self, x, shape):
        """Gives `x` another shape of the same size."""
        if x.shape == tuple(shape):
            return x
        if x.value is not None and x.value.size <= 64:
            return self.const(x.value.reshape(shape))
        return self.op("Reshape", x, self.shape(shape, infer=True), shape=shape)

    def broadcast(self, x, shape):
        """Repeats `x` along axes of size 1, and along new axes in front."""
        if x.shape == tuple(shape):
            return x
        return self.op("BroadcastTo", x, self.shape(shape), shape=shape)

    def transpose(self, x, order):
        """Puts axis order[i] of `x` at place i."""
        if list(order) == list(range(len(order))):
            return x
        shape = tuple(x.shape[i] for i in order)
        moved = [i for i in order if not (is_known(x.shape[i]) and x.shape[i] == 1)]
        if moved == sorted(moved):  # only axes of size 1 change places
            return self.reshape(x, shape)
        return self.op("Transpose", x, self.ints(order), shape=shape)

    def cast(self, x, dtype):
        """Converts to another dtype."""
        if x.dtype == jnp.dtype(dtype):
            return x
        return self.op("Cast", x, shape=x.shape, dtype=dtype, DstT=DType(dtype))

    def slice(self, x, start, stop, step=None):
        """Returns x[start:stop:step], one entry an axis."""
        step = step or (1,) * len(x.shape)
        if all(is_known(a) and a == 0 and same(b, n) and s == 1
               for a, b, n, s in zip(start, stop, x.shape, step, strict=True)):  # fmt: skip
            return x
        whole = sum(1 << i for i, (b, n) in enumerate(zip(stop, x.shape, strict=True)) if same(b, n))
        ends = [0 if same(b, n) else b for b, n in zip(stop, x.shape, strict=True)]
        shape = tuple(b - a if s == 1 else (b - a + s - 1) // s for a, b, s in zip(start, stop, step, strict=True))
        at = [self.shape(start), self.shape(ends), self.shape(step)]
        return self.op("StridedSlice", x, *at, shape=shape, end_mask=whole)

    def pad(self, x, pads, value=None):
        """Pads, or where negative crops, each axis by (before, after) elements of the scalar `value` (None: zeros)."""
        if any(is_known(p) and p < 0 for pair in pads for p in pair):
            start = [max(-lo, 0) for lo, _ in pads]
            stop = [n - max(-hi, 0) for n, (_, hi) in zip(x.shape, pads, strict=True)]
            x = self.slice(x, start, stop)
            pads = [(max(lo, 0), max(hi, 0)) for lo, hi in pads]
        if not any(p != 0 if is_known(p) else True for pair in pads for p in pair):
            return x
        shape = tuple(n + lo + hi for n, (lo, hi) in zip(x.shape, pads, strict=True))
        if all(is_known(p) for pair in pads for p in pair):
            amounts = self.ints(pads)
        else:
            flat = self.shape([p for pair in pads for p in pair])
            amounts = self.op("Reshape", flat, self.ints([len(pads), 2]), shape=(len(pads), 2))
        if value is None or (value.value is not None and value.value == 0):
            return self.op("Pad", x, amounts, shape=shape)
        return self.op("PadV2", x, amounts, value, shape=shape)

    def flip(self, x, axes):
        """Turns `x` around along axes; twice the same is nothing."""
        axes = tuple(sorted(axes))
        if (before := self._flipped.get(x.ref)) and before[1] == axes:
            return before[0]
        out = self.op("ReverseV2", x, self.ints(axes), shape=x.shape)
        self._flipped[out.ref] = x, axes
        return out

    def spread(self, x, factors):
        """Puts `factors` - 1 zeros between the elements of each axis."""
        for axis, factor in enumerate(factors):
            n = x.shape[axis]
            if factor == 1 or (is_known(n) and n == 1):
                continue
            before, behind = x.shape[:axis], x.shape[axis + 1 :]
            rows = product(before)
            flat = self.reshape(x, (rows, n, 1, product(behind)))
            flat = self.pad(flat, [(0, 0), (0, 0), (0, factor - 1), (0, 0)])
            flat = self.reshape(flat, (rows, n * factor, product(behind)))
            flat = self.slice(flat, (0, 0, 0), (rows, n * factor - (factor - 1), product(behind)))
            x = self.reshape(flat, (*before, n * factor - (factor - 1), *behind))
        return x

    def concat(self, parts, axis, shape):
        """Joins tensors along an axis."""
        if len(parts) == 1:
            return parts[0]
        return self.op("ConcatV2", list(parts), self.ints(axis), shape=shape, N=len(parts))

    def range(self, size):
        """Returns 0, 1, ..., size - 1 as int32."""
        if is_known(size):
            return self.const(np.arange(size, dtype=np.int32))
        return self.op("Range", self.ints(0), self.size(size), self.ints(1), shape=(size,))

    def take(self, x, indices, axis=0):
        """Returns the elements of `x` at `indices` of one axis."""
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return self.op("GatherV2", x, indices, self.ints(axis), shape=shape)

    def binary(self, op, x, y, dtype=None):
        """Adds an operation of two tensors that are broadcast against each other."""
        return self.op(op, x, y, shape=joined(x.shape, y.shape), dtype=dtype)


def is_known(size):
    """Whether a size is a number."""
    return isinstance(size, (int, np.integer))


def same(a, b):
    """Whether two sizes are equal for certain."""
    return is_known(a) == is_known(b) and bool(a == b)


def joined(*shapes):
    """Returns the shape of tensors that are broadcast against each other."""
    rank = max(map(len, shapes))
    wide = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    return tuple(next((d for d in column if not (is_known(d) and d == 1)), 1) for column in zip(*wide, strict=True))


def product(sizes):
    """Returns the product of sizes, known or not."""
    total = 1
    for size in sizes:
        total = total * size
    return total
