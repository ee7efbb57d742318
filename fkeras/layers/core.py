"""Dense and the small layers around it: activations, functions, masks of time steps."""

import inspect
import re
import string
from typing import Any

import jax
import jax.numpy as jnp

from fkeras import activations
from fkeras.core.settings import (
    Registry,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    positive_int,
    serialize,
    setting,
)
from fkeras.layers.contract.base import Layer, Spec, layers
from fkeras.layers.contract.weight_settings import (
    KernelBias,
    KernelBiasConstraints,
    KernelBiasInitializers,
    KernelBiasRegularizers,
    weight,
)
from fkeras.layers.contract.windows import each_alone
from fkeras.layers.lora import Lora

# -------------------------------------------------------------------------------------- pure functions


def dense(x, kernel, bias=None):
    """Matrix product over the last axis: y = x @ kernel + bias.

    Args:
        x: Float array [..., I].
        kernel: Float array [I, U].
        bias: Float array [U], or None.

    Returns:
        Float array [..., U].

    Example:
        >>> dense(jnp.array([[1.0, 2.0]]), jnp.array([[1.0], [10.0]]), jnp.array([0.5])).tolist()
        [[21.5]]
    """
    # One matrix of all leading axes: on CPU the gradient of a product with more axes takes over twice as long.
    y = x.reshape(-1, x.shape[-1]) @ kernel
    if bias is not None:
        y = y + bias.reshape(1, -1)
    return y.reshape(*x.shape[:-1], kernel.shape[-1])


def einsum_dense(x, kernel, bias=None, *, equation):
    """Einstein sum of `x` and `kernel`, then a bias: y = einsum(equation, x, kernel) + bias.

    Args:
        x, kernel: Float arrays with the axes that `equation` names, such as "abc,cd->abd".
        bias: Float array that broadcasts to the result, or None.
        equation: Two inputs, one output; "..." stands for axes that are left alone.

    Example:
        >>> einsum_dense(jnp.ones((2, 3)), jnp.ones((3, 4)), equation="ab,bc->ac").shape
        (2, 4)
    """
    y = jnp.einsum(equation, x, kernel)
    return y if bias is None else y + bias.reshape((1,) * (y.ndim - bias.ndim) + bias.shape)


def einsum_shapes(equation, input_shape, output_shape, bias_axes=None):
    """Finds the shapes of an einsum layer's weights from its input and output.

    Args:
        equation: "[X],[W]->[Y]", "...[X],[W]->...[Y]" or "[X]...,[W]->[Y]...".
        input_shape: With the batch axis; None where unknown.
        output_shape: Int or tuple: the sizes of Y without the batch axis and without those of "...".
        bias_axes: Letters of Y that the bias has, or None for no bias.

    Returns:
        (kernel shape, bias shape or None, axes of the kernel that are summed, axes that are put out).

    Raises:
        ValueError: The equation is not of this form, or the shapes do not fit it.

    Example:
        >>> einsum_shapes("abc,cde->abde", (None, 7, 3), (None, 4, 5), "de")
        ((3, 4, 5), (4, 5), [0], [1, 2])
    """

    def wrong(why):
        return ValueError(f"equation {equation!r} with input {input_shape} and output_shape {output_shape}: {why}")

    terms = re.fullmatch(
        r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?", equation.replace(" ", "")
    )
    if terms is None or terms[1] != terms[5] or terms[3] != terms[7] or (terms[1] and terms[3]):
        raise wrong("expected the form 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...'.")
    at_left, x, w, y = bool(terms[1]), terms[2], terms[4], terms[6]
    spare = ""
    if terms[1] or terms[3]:
        free = [c for c in string.ascii_letters if c not in equation]
        spare = "".join(free[: max(0, len(input_shape) - len(x))])
    x, y = (spare + x, spare + y) if at_left else (x + spare, y + spare)
    if len(x) != len(input_shape):
        raise wrong(f"it names {len(x)} axes of the input, which has {len(input_shape)}.")
    given = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
    tail = tuple(input_shape[len(input_shape) - len(spare) :]) if spare and not at_left else ()
    head = tuple(input_shape[: len(spare)]) if spare and at_left else (input_shape[0],)
    out = head + given + tail
    if len(out) != len(y):
        raise wrong(f"its output has {len(y)} axes, but output_shape with the batch axis has {len(out)}.")
    sizes_in, sizes_out = dict(zip(x, input_shape, strict=True)), dict(zip(y, out, strict=True))
    for c in set(x) & set(y):
        if None not in (sizes_in[c], sizes_out[c]) and sizes_in[c] != sizes_out[c]:
            raise wrong(f"axis {c!r} has size {sizes_in[c]} in the input and {sizes_out[c]} in the output.")
    for c in y:
        if c not in x and c not in w:
            raise wrong(f"axis {c!r} of the output is in neither input.")
    kernel = tuple(sizes_out.get(c) if sizes_out.get(c) is not None else sizes_in.get(c) for c in w)
    if None in kernel:
        raise wrong(f"the size of the kernel's axis {w[kernel.index(None)]!r} is not known.")
    bias = None
    if bias_axes is not None:
        if unknown := sorted(set(bias_axes) - set(y)):
            raise wrong(f"bias axis {unknown[0]!r} is not in the output.")
        first = min(y.index(c) for c in bias_axes)
        bias = tuple(sizes_out[c] if c in bias_axes else 1 for c in y[first:])
        if None in bias:
            raise wrong("a bias axis has no known size.")
    summed = [i for i, c in enumerate(w) if c not in y]
    return kernel, bias, summed, [i for i, c in enumerate(w) if c in y]


def unmasked_steps(x, mask_value=0.0):
    """Returns bool [...]: which vectors of `x` [..., C] have any entry other than `mask_value`.

    Example:
        >>> unmasked_steps(jnp.array([[[1.0, 0.0], [0.0, 0.0]]])).tolist()
        [[True, False]]
    """
    return jnp.any(x != mask_value, axis=-1)


# --------------------------------------------------------------------------------------------- layers


@layers.register
class Dense(KernelBias, Lora):
    """Fully connected layer: y = activation(x @ kernel + bias) over the last axis.

    Args:
        units: Size of the output's last axis.
        activation: Function of the result; None is linear.
        use_bias: Adds a bias.
        kernel_initializer, bias_initializer: First values of the weights.
        kernel_regularizer, bias_regularizer: Penalties on the weights.
        activity_regularizer: Penalty on the output.
        kernel_constraint, bias_constraint: Applied to the weights after each update.
        lora_rank, lora_alpha: See `Lora`.

    Input shape: [B, ..., I]. Output shape: [B, ..., units].

    Example:
        >>> Dense(4, activation="relu")(jnp.ones((2, 3))).shape
        (2, 4)

    Reference:
        As Keras 3, without its quantization.
    """

    units: int = setting(positive_int)
    activation: Any = setting(activations, None)
    use_bias: bool = True
    supports_masking = True

    def check_input(self, shape):
        if len(shape) < 2:
            raise ValueError(
                f"{self.label}: expected an input of rank 2 or more, [B, ..., features], got shape {shape}. "
                f"Is the batch or the feature axis missing? Try x[:, None] or x[None]."
            )
        if shape[-1] is None:
            raise ValueError(
                f"{self.label}: the size of the input's last axis must be known, got shape {shape}. "
                f"Give it in the `shape` of the Input."
            )

    def declare(self, shape):
        kernel, bias = weight(self, "kernel", (shape[-1], self.units)), weight(self, "bias", (self.units,))
        return self.with_adapters({"kernel": kernel, "bias": bias} if self.use_bias else {"kernel": kernel})

    def forward(self, params, state, x, ctx):
        return self.activation(dense(x, params["kernel"], params.get("bias"))), state

    def compute_output_spec(self, x):
        self.check_input(x.shape)
        if activations.activations.name_of(self.activation) in (None, "glu"):
            return super().compute_output_spec(x)  # may change shape or dtype
        return Spec((*x.shape[:-1], self.units), self.dtype.compute_dtype)


@layers.register
class EinsumDense(KernelBiasInitializers, KernelBiasRegularizers, KernelBiasConstraints, Lora):
    """Dense layer over any axes: y = activation(einsum(equation, x, kernel) + bias).

    Args:
        equation: Axes of input, kernel and output: "abc,cd->abd"; "..." stands for axes left alone.
        output_shape: Int or tuple: sizes of the output's axes, without the batch axis and those of "..."; None where
            they follow the input.
        activation: Function of the result; None is linear.
        bias_axes: Letters of the output that the bias has; None is no bias.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint,
        bias_constraint, lora_rank, lora_alpha: As in Dense. Scaled initializers count fans by the equation.

    Example:
        >>> EinsumDense("abc,cd->abd", (None, 4), bias_axes="d")(jnp.ones((2, 5, 3))).shape
        (2, 5, 4)

    Reference:
        As Keras 3, without its quantization.
    """

    equation: str
    output_shape: Any
    activation: Any = setting(activations, None)
    bias_axes: Any = None

    def check_input(self, shape):
        self._shapes(shape)

    def _shapes(self, shape):
        try:
            return einsum_shapes(self.equation, shape, self.output_shape, self.bias_axes)
        except ValueError as err:
            raise ValueError(f"{self.label}: {err}") from None

    def declare(self, shape):
        kernel, bias, summed, kept = self._shapes(shape)
        start = self.kernel_initializer
        if getattr(start, "input_axes", 0) is None:
            start = type(start).from_config({**start.get_config(), "input_axes": summed, "output_axes": kept})
        weights = {"kernel": weight(self, "kernel", kernel, start)}
        if bias is not None:
            weights["bias"] = weight(self, "bias", bias)
        return self.with_adapters(weights)

    def forward(self, params, state, x, ctx):
        y = einsum_dense(x, params["kernel"], params.get("bias"), equation=self.equation)
        return self.activation(y), state


@layers.register
class Activation(Layer):
    """Applies an activation: y = activation(x).

    Example:
        >>> Activation("relu")(jnp.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    activation: Any = setting(activations)
    supports_masking = True

    def windows(self, rank):
        return each_alone(self, rank) if activations.is_elementwise(self.activation) else None

    def forward(self, params, state, x, ctx):
        return self.activation(x), state


@layers.register
class Identity(Layer):
    """Puts out its input: an array or a tree of arrays.

    Example:
        >>> Identity()(jnp.array([1, 2])).tolist()
        [1, 2]
    """

    takes_ints = True
    supports_masking = True

    def forward(self, params, state, x, ctx):
        return x, state


@layers.register
class Masking(Layer):
    """Masks the time steps whose features all equal `mask_value`; they become 0, and later layers skip them.

    Input shape: [B, T, C]. Output shape: the same, with a mask [B, T].

    Example:
        >>> Masking(-1.0)(jnp.array([[[5.0], [-1.0]]])).tolist()
        [[[5.0], [0.0]]]
    """

    mask_value: float = 0.0
    takes_ints = True
    supports_masking = True

    def forward(self, params, state, x, ctx):
        return jnp.where(unmasked_steps(x, self.mask_value)[..., None], x, jnp.zeros((), x.dtype)), state

    def compute_mask(self, inputs, mask=None):
        return unmasked_steps(jnp.asarray(inputs), self.mask_value)


# --------------------------------------------------------------------------------- functions as layers


def read_function(value):
    """Converter: a function, or the registered one that a config names; None stays None.

    Raises:
        ValueError: The config holds code, or names a function that is not registered.
    """
    if value is None or callable(value):
        return value
    name = value
    if isinstance(value, dict):
        name = value.get("config")
        if value.get("class_name") == "__lambda__":
            name = None
    if not isinstance(name, str):
        raise ValueError(
            "the config holds the code of a function, which is never run from a file. Name the function: decorate it "
            "with @fkeras.utils.register_keras_serializable(), or pass custom_objects={...}."
        )
    found = get_registered_object(name) or next((f.entries[name] for f in Registry.all if name in f.entries), None)
    if found is None:
        raise ValueError(
            f"no function is registered as {name!r}. Define it and decorate it with "
            f"@fkeras.utils.register_keras_serializable(), or pass custom_objects={{{name!r}: ...}}."
        )
    return found


def write_function(function, label):
    """Returns the config of a registered function, as Keras 3 writes it. Raises ValueError for any other."""
    family_name = next((n for f in Registry.all if (n := f.name_of(function))), None)
    if family_name is None and not any(known is function for known in get_custom_objects().values()):
        name = getattr(function, "__name__", repr(function))
        raise ValueError(
            f"{label} cannot be written into a config: its function {name!r} is not registered, and code is never "
            f"stored. Write it as a named function, decorated with @fkeras.utils.register_keras_serializable(), or "
            f"write a layer of your own."
        )
    name = family_name or next((n for n, known in get_custom_objects().items() if known is function and ">" in n), None)
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name or get_registered_name(function),
        "registered_name": "function",
    }


def _shape_or_function(value):
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return read_function(value)


@layers.register
class Lambda(Layer):
    """Wraps a JAX function as a layer: y = function(x, **arguments).

    Args:
        function: Function of the input (an array or a tree of arrays). If it has parameters named `mask` or
            `training`, it is given them.
        output_shape: Shape without the batch axis, or a function of the input's whole shape; None finds it by tracing.
        mask: The output's mask, or a function (x, mask) -> mask. None drops the mask.
        arguments: Further arguments by name.

    A config holds the function's registered name, never its code: see `register_keras_serializable`.

    Example:
        >>> Lambda(lambda x: x**2)(jnp.array([3.0])).tolist()
        [9.0]
    """

    function: Any = setting(read_function)
    output_shape: Any = setting(_shape_or_function, None)
    mask: Any = setting(lambda m: read_function(m) if callable(m) or isinstance(m, (str, dict)) else m, None)
    arguments: Any = setting(lambda a: dict(a or {}), None)
    takes_ints = True

    def check(self):
        if not callable(self.function):
            raise TypeError(f"{self.label}: expected a function, got {self.function!r}.")
        try:
            names = set(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):  # some builtins have none
            names = set()
        object.__setattr__(self, "_extras", names & {"mask", "training"})

    def forward(self, params, state, x, ctx):
        around = {"mask": ctx.mask, "training": ctx.training}
        return self.function(x, **self.arguments, **{k: around[k] for k in self._extras}), state

    def compute_output_spec(self, x):
        if self.output_shape is None:
            return super().compute_output_spec(x)
        first = jax.tree.leaves(x, is_leaf=lambda s: hasattr(s, "shape"))[0]
        if callable(self.output_shape):
            shapes = jax.tree.map(lambda s: tuple(s.shape), x, is_leaf=lambda s: hasattr(s, "shape"))
            return Spec(tuple(self.output_shape(shapes)), self.dtype.compute_dtype)
        return Spec((first.shape[0], *self.output_shape), self.dtype.compute_dtype)

    def compute_mask(self, inputs, mask=None):
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self):
        config = super().get_config()
        for name in ("function", "output_shape", "mask"):
            value = getattr(self, name)
            config[name] = write_function(value, self.label) if callable(value) else serialize(value)
        return {k: v for k, v in config.items() if v is not None or k not in ("output_shape", "mask")}
