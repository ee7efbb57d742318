"""Arguments in docstrings: a class describes what it inherits, and what means the same everywhere is written once.

A docstring describes the arguments that are its own under "Args:". `completed` adds the others: a class's from its
bases, by `ClassDoc`, and common ones (`axis`, `dtype`, `seed`) from the table `COMMON`. So `help` shows every argument.
"""

import inspect
import re
import sys

SECTIONS = re.compile(
    r"(Input shape|Output shape|Call arguments|Returns|Yields|Raises|Example|Examples|Reference|References|Source)\b.*:"
)

ENTRY = re.compile(r"^    ([\w*`, ]+?):[ \n](.*(?:\n     .*)*)", re.M)  # names, text

COMMON = dict(
    line.split(": ", 1)
    for line in """
a: The first array or structure.
abs_: Absolute values.
activation: Function of the output, or its name; None leaves the output as it is.
alpha: Factor of the slope or of the strength, a float.
alt: What is returned in the other phase.
analyzer: Function of the text to words, or None.
angle: Angles, in radians.
antialias: Smooth before making images smaller.
apply_class_balancing: Weigh positives by `alpha`, negatives by 1 - `alpha`.
approximate: Use the formula with tanh.
array: Array.
assume_unique: No value occurs twice.
atol: Absolute difference that still counts as equal.
attn_logits_soft_cap: Limit that logits approach, or None.
axes: Axes to work over: an int, or ints for each array.
axis: Axis, or axes, to work along; negative ones count from the end.
axis1: First of the two axes.
axis2: Second of the two axes.
axisa: Axis of the vectors in the first array.
axisb: Axis of the vectors in the second array.
axisc: Axis of the vectors in the result.
b: The second array or structure.
base: The base.
batch_shape: Shape of the input with the batch axis first, for a layer that begins a model.
batch_size: Rows in a batch.
beam_width: Paths that are kept at each step.
beta: What is added after scaling, or the second parameter of the distribution or window.
beta_constraint: Constraint of beta after each step, or None.
beta_initializer: How beta begins: a name, an object or a function.
beta_regularizer: Penalty on beta, or None.
bias: What is added, [channels].
bias_constraint: Constraint of the bias after each step, or None.
bias_initializer: How the bias begins: a name, an object or a function.
bias_regularizer: Penalty on the bias, or None.
bins: Number of bins, or their limits.
block_size: Side of the blocks.
body: Function of the loop's values to new ones.
body_fun: Function (i, value) to the new value.
bottom: Rows at the bottom.
bottom_cropping: Rows to take off at the bottom.
bottom_pad: Rows to add at the bottom.
bottom_padding: Rows to add at the bottom.
boundaries: Steps at which the value changes.
bounding_box_format: How boxes are written: "xyxy", "xywh", "center_xywh", "yxyx", "rel_xyxy", ... None: no boxes.
boxes: Boxes, [..., 4], and their labels.
branches: Functions, one of which is called.
brightness_range: Pair of factors to draw from.
center: Add a trained beta, or, of frames, that frame i is centered at i * stride.
channel_axis: Axis of the channels.
choicelist: Arrays to choose from.
class_mode: "categorical", "binary", "sparse", "input", "other" or None: the form of the labels.
class_names: Names of the classes in their order; by default the folders' names, sorted.
classes: Names of the classes, or None for all that are found.
col_axis: Axis of the columns.
color_mode: "grayscale", "rgb" or "rgba".
compile: Compile the model as it was compiled.
compute_uv: Give U and V besides the singular values.
cond: Function of the loop's values to whether to go on.
condition: Bool array.
condlist: Bool arrays.
config: What `get_config` or `serialize` returned.
constraint: The constraint.
coordinates: Where to read, [axes, ...].
count: Number that the sum is divided by.
counts: Numbers of trials.
custom_objects: Dict of the user's own classes and functions by name.
cval: Value outside of the image, where `fill_mode` is "constant".
cycle: Begin anew after `decay_steps`.
data: Rows to read, an array or a list.
data_format: "channels_last" ([B, ..., C]) or "channels_first" ([B, C, ...]); None is that of `fkeras.config`.
dataframe: Frame of pandas with a row for each image.
decay_rate: Factor of the rate for each `decay_steps`.
decay_steps: Steps of the optimizer that the decay takes.
decimals: Digits after the point that are kept.
decrement: What is subtracted.
default: Value where no condition holds.
default_value: Value below the threshold.
delta: Where the loss changes from quadratic to linear.
depth_factor: Factor of the depth.
depthwise_constraint: Constraint of the depthwise kernel, or None.
depthwise_initializer: How the depthwise kernel begins: a name, an object or a function.
depthwise_kernel: Kernel of each channel on its own, [*window, C, M].
depthwise_regularizer: Penalty on the depthwise kernel, or None.
destination: Where the axes go.
dilation: Distance between the elements of a window: an int, or one an axis.
dilation_rate: Distance between the elements of a window: an int, or one an axis.
dim_ordering: Keras 1's name of `data_format`: "tf" or "th".
directory: Folder to read.
dropout: Fraction of the input that is dropped in training.
dtype: Dtype of the result, or its name; None chooses by the inputs or `floatx`.
dtype_policy: The policy.
dx: Distance between points, where `x` is None.
elements: Array, or tree of arrays; the function is called on each row.
elems: Array, or tree of arrays, that is gone through along its first axis.
else_expression: What is computed where the condition is False.
end: Last value.
endpoint: The end is among the numbers.
epsilon: Small number that keeps a division or a logarithm finite.
equal_nan: NaN equals NaN.
excluded: Arguments that are passed on as they are.
f: The function.
factor: Factor of the penalty.
false_fn: Function that is called where the condition is False.
fft_length: Number of points of each transform; longer than the frame means zeros behind it.
filepath: Where the file is, or goes.
fill_mode: What is outside of the image: "constant", "nearest", "reflect" or "wrap".
fill_value: The value that fills.
filter_sigma: Standard deviation of the Gaussian window.
filter_size: Size of the Gaussian window.
filters: Number of output channels, or the characters that are taken out of texts.
first_decay_steps: Steps of the first period.
fit_kwargs: Arguments for `fit`.
flash_attention: Only for Keras's signature: the formulation is chosen by platform.
flat_sequence: The leaves, in order.
fn: The function.
follow_links: Also read folders that links lead to.
format: Only for Keras's signature.
free_memory: Only for Keras's signature.
from_logits: The predictions are logits, before `softmax` or `sigmoid`, instead of probabilities.
full_matrices: Give square U and V.
fun: The function.
func: The function that is called for each structure of leaves.
function: The function.
gain: Factor of the result.
gamma: What values are multiplied with, or the exponent of the focal factor.
gamma_constraint: Constraint of gamma after each step, or None.
gamma_initializer: How gamma begins: a name, an object or a function.
gamma_regularizer: Penalty on gamma, or None.
go_backwards: Read the steps from the last to the first.
greedy: Take the best class of each step, instead of a beam search.
has_aux: The function returns a pair, of which the second is passed on.
height: Rows of the image.
height_factor: Factor of the height.
high: Upper end, itself left out.
hrg: Largest shift, as a fraction of the height.
identifier: Name, config dict, class, object or function; None stays None.
ignore_class_split: Classes may be missing in a part.
image1: Images, [..., H, W, C].
image2: Images, [..., H, W, C].
image_data_generator: The `ImageDataGenerator` that varies the images, or None.
images: Images, [H, W, C] or [B, H, W, C].
implementation: Only for Keras's signature: there is one.
increasing: Powers grow from left to right.
increment: What is added.
index: Which one.
indexing: "xy" or "ij": which axis comes first.
indices: Whole numbers that say which elements.
indices_or_sections: Number of equal parts, or where to cut.
init: The value to begin with.
init_val: The value to begin with.
initial: The value to begin with.
initializer: How the array begins: a name, an object or a function.
input_axes: Axes of the inputs; by default the last but one.
input_length: Lengths of the rows, [B].
input_text: The text.
inputs: The input array, or arrays.
intensity: Shift of the values, or angle in degrees.
intensity_range: Largest shift of the values.
interpolation: How values between pixels are found: "nearest", "bilinear", "bicubic", ...
interpolation_order: Order of the spline between pixels; 1 is linear.
invert: Give the opposite.
is_causal: A position sees those before it only.
json_string: What `to_json` returned.
k: Which diagonal (0 is the main one, 1 the one above), or how many.
k1: First constant of the formula.
k2: Second constant of the formula.
keep_aspect_ratio: Cut the image to the form of `target_size` before it is resized.
keepdims: Keep the reduced axes with size 1.
kernel: Kernel, [*window, channels in, channels out].
kernel_constraint: Constraint of the kernel after each step, or None.
kernel_initializer: How the kernel begins: a name, an object or a function.
kernel_regularizer: Penalty on the kernel, or None.
kernel_size: Size of the window: an int, or one an axis.
key: A JAX key, `jax.random.key(seed)`.
kth: Which element is put where sorting would put it.
l1: Factor of the sum of absolute values.
l2: Factor of the sum of squares.
label_length: Lengths of the rows of labels.
label_mode: "int", "categorical", "binary", or None for no labels.
labels: "inferred" from the folders, a list of them, or None.
layer: The layer that owns it.
left: Columns, or elements, at the left.
left_cropping: Columns to take off at the left.
left_pad: Columns to add at the left.
left_padding: Columns to add at the left.
length: Number of steps, where there are no inputs.
level: The fraction, or the rate.
logits: Logarithms of probabilities, up to a constant, [..., classes].
lora_alpha: Factor of the adapter, divided by its rank; None is the rank.
lora_rank: Rank of a low-rank adapter that is trained in place of the kernel, or None.
loop_vars: The values to begin with.
low: Lower end.
lower: Small letters for large ones, or the lower end of the loop, or a lower triangular matrix.
M: Number of columns; None is as many as rows.
m_mul: Factor of the first value of each period.
mask_value: The value of padding: a step counts if any of its values differs.
max_epochs: Epochs at most, or None.
max_steps_per_epoch: Batches an epoch at most, or None.
max_val: Largest possible value of a pixel.
max_value: Upper limit.
maximum_iterations: Iterations at most, or None.
maxval: Upper end, itself left out.
mean: Mean of the distribution.
message: Text that is printed before.
method: Which formula: see above.
min_value: Lower limit.
minlength: Numbers to give at least.
minval: Lower end.
mode: How: see above.
model: The model.
model_kwargs: Arguments for the function that makes the model.
momentum: How much of the old value stays.
moving_mean_initializer: How the moving mean begins.
moving_variance_initializer: How the moving variance begins.
n: How many.
N: Number of rows.
name: Name of the object; by default that of its class.
nan: Value for NaN.
ndim: Number of axes.
negative_slope: Factor of negative inputs.
neginf: Value for minus infinity.
new_x: The new value.
newshape: The new shape; one size may be -1.
node: The call that computes it.
noise_shape: Shape of the mask, with 1 where one draw serves all.
num: How many numbers.
num_classes: Number of classes.
num_samples: How many numbers a row.
num_segments: Number of segments.
obj: The class or function.
offset: Which diagonal: 0 is the main one, positive ones are above.
ord: Of the norm: 1, 2, infinity, ...
order: Of the norm: 1, 2, infinity, ...
output: Predictions.
output_axes: Axes of the outputs; by default the last.
output_padding: Elements to add at the end of each axis: an int, one an axis, or None.
output_shape: Shape of the result.
output_size: Size of the output: an int, or one an axis.
overwrite: Replace a file that is there.
p: Probability.
package: Name before the ">" under which it is registered.
padding: "valid" or "same".
path: Where the file is, or goes.
pattern: The order of the axes.
pointwise_initializer: How the pointwise kernel begins: a name, an object or a function.
pointwise_kernel: Kernel of size 1 that mixes the channels.
pointwise_regularizer: Penalty on the pointwise kernel, or None.
pool_mode: "max" or "avg".
pool_size: Size of the window: an int, or one an axis.
posinf: Value for infinity.
power: Exponent of the polynomial.
pred: Which function is called, a bool.
predictions: Predictions, [B, classes].
prefix: Begin of the name.
primals: Where the derivative is taken.
probabilities: Probabilities of success.
pyfunc: The function of single elements or vectors.
q: Fraction in [0, 1], or several.
ragged: Must be False: JAX has no ragged arrays.
range: Lower and upper limit of the bins.
rate: Fraction that is dropped or moved.
rcond: Singular values below this share of the largest count as zero.
recurrent_activation: Function of the gates, or its name.
recurrent_constraint: Constraint of the recurrent kernel, or None.
recurrent_dropout: Fraction of the state that is dropped in training.
recurrent_initializer: How the recurrent kernel begins: a name, an object or a function.
recurrent_regularizer: Penalty on the recurrent kernel, or None.
reduction: "add", "max", "min", "mul" or None, which replaces: what is done where several updates meet.
reduction_axes: Axes to take mean and variance over.
reference: Array to take rows of.
regularizer: The regularizer.
rep: How many times each element is repeated.
repeats: How many times.
reset_after: Apply the reset gate after the product, with a bias of its own.
retstep: Also give the distance between numbers.
return_counts: Also give how often each value occurs.
return_index: Also give where each value occurs first.
return_inverse: Also give, for each element, the number of its value.
return_sequences: Return the output of every step instead of the last.
return_state: Also return the last state.
reverse: Go from the last to the first.
rg: Largest angle, in degrees.
right: Columns, or elements, at the right.
right_cropping: Columns to take off at the right.
right_pad: Columns to add at the right.
right_padding: Columns to add at the right.
rms_scaling: Divide by the root mean square, without subtracting the mean.
row_axis: Axis of the rows.
rtol: Relative difference that still counts as equal.
safe_mode: Only for Keras's signature: code in a file is never run.
sample_weight: Weight of each row, [B], or of each step, [B, T].
save_format: Format of the images that are written.
save_prefix: Begin of the names of the images that are written.
save_to_dir: Folder to write the varied images to, or None.
scale: Factor, or standard deviation; of a normalization, whether there is a trained gamma.
seed: An int, for the same numbers each time, a `SeedGenerator`, or None.
segment_ids: For each row the number of its segment.
sequence_length: Length of a frame.
sequence_stride: Distance between the begins of frames.
session: Only for Keras's signature.
shallow_structure: The structure whose leaves are the arguments.
shape: Shape, a tuple of ints.
shift: Places to move by.
shuffle: Draw a new order.
side: "left" or "right": which place among equal values.
signature: Axes of the function's arguments and results, as NumPy writes them: "(n),(n)->()".
size: Size of the result: an int, or one an axis.
sliding_window: Steps that each step sees, or None for all.
sorted: Give the largest first.
sorted_sequence: Sorted array.
source: The axes to move.
sparse: Must be False: JAX has no sparse arrays.
spatial_dims: Axes of the image.
split: What separates words.
staircase: Change the value once each `decay_steps` only.
start: First number.
start_indices: Where the part begins, an int an axis.
stateful: Keep each row's state from batch to batch.
stddev: Standard deviation of the distribution.
step: Step of the optimizer, or distance between numbers.
stop: End, itself left out.
stride: Step of the window: an int, or one an axis.
strides: Step of the window: an int, or one an axis.
structure: Nested lists, tuples and dicts.
subscripts: The sum, such as "ij,jk->ik".
subset: "training", "validation", or "both", with `validation_split`; None: all.
summarize: Only for Keras's signature.
synchronized: Take the statistics over all devices.
t_mul: Factor of the length of each period.
tangents: Directions of the derivative.
target: Targets.
target_height: Rows of the result, or None.
target_size: Rows and columns of the images.
target_width: Columns of the result, or None.
targets: Class numbers, [B].
tensor: Array or symbol.
tensors: List of arrays or symbols.
then_expression: What is computed where the condition is True.
threshold: Where values begin to count.
time_major: The first axis is time, the second the batch.
tol: Singular values below this count as zero.
top: Rows at the top.
top_cropping: Rows to take off at the top.
top_pad: Rows to add at the top.
top_padding: Rows to add at the top.
top_paths: Number of best paths to give.
total: The sum.
trainable: Whether training changes it.
training: True in training, False in inference.
true_fn: Function that is called where the condition is True.
tuples: Pairs of variables and values.
unit_forget_bias: The bias of the forget gate begins with 1.
units: Size of the output.
unroll: Write the steps out instead of looping over them.
updates: The new values.
upper: Upper end of the loop, or an upper triangular matrix.
use_bias: Add a bias.
use_gate: Multiply the result with a gate.
use_cudnn: Only for Keras's signature: the formulation is chosen by platform.
validate_filenames: Leave out names that are no files.
validation_split: Share of the files or rows that is kept for validation.
value: The value.
values: The values.
var: Variance.
variable: Array or symbol.
variables: Arrays, symbols, or a list of them.
variance: Variance, of the shape of the mean.
verbose: Print what is found.
volumes: Volumes, [B, D, H, W, C].
warm_start: A second `fit` goes on with the trained weights.
warmup_steps: Steps in which the value rises.
warmup_target: Value at the end of the warmup, or None for no warmup.
weight_col: Column of sample weights, or None.
weights: Weights of the elements, or None.
width: Columns of the image.
width_factor: Factor of the width.
window: Name of the window, an array, or None.
wrg: Largest shift, as a fraction of the width.
x: Array, or a symbol of a graph.
x1: The first array or number.
x2: The second array or number.
x_col: Column of the files.
x_max: Upper limit.
x_min: Lower limit.
xs: Arrays of one structure.
y: The second array, or targets.
y_col: Column or columns of the targets.
y_pred: Predictions.
y_pred_shape: Shape of the predictions.
y_true: Targets.
y_true_shape: Shape of the targets.
zero_output_for_mask: Masked steps give zeros instead of the last output.
zoom_range: Pair of factors to draw from.
""".strip().split("\n")
)


def described(doc):
    """Returns {argument: its description} of the section "Args:" of a docstring without indentation.

    Example:
        >>> described("Adds.\\n\\nArgs:\\n    a, b: Arrays\\n        of any shape.\\n    c: A number.")
        {'a': 'Arrays\\n        of any shape.', 'b': 'Arrays\\n        of any shape.', 'c': 'A number.'}
    """
    found, block = {}, _args_of(doc)[2]
    for names, text in ENTRY.findall(block):
        found |= dict.fromkeys((n.strip(" *`") for n in names.split(",")), text.rstrip())
    return found


def _args_of(doc):
    """Splits a docstring: what is before "Args:", the rest, and the section itself, without its title."""
    match = re.search(r"^Args:\n((?:    .*\n|\n)*)", doc + "\n", re.M)
    if match is None:
        return doc, "", ""
    block = re.sub(r",\n    (?=\w)", ", ", match[1])  # names that fill more than a line
    return doc[: match.start()], (doc + "\n")[match.end() :], block.rstrip() + "\n"


def completed(doc, names, known=None):
    """Returns a docstring that describes all arguments in `names`: its own text, then `known`'s and `COMMON`'s.

    Example:
        >>> print(completed("Twice.\\n\\nReturns:\\n    2 x.", ["x", "f"], {"x": "A number."}))
        Twice.
        <BLANKLINE>
        Args:
            x: A number.
            f: The function.
        <BLANKLINE>
        Returns:
            2 x.
    """
    doc, more = inspect.cleandoc(doc) if "\n" in doc else doc, COMMON if known is None else COMMON | known
    before, rest, entries, own, place = doc, "", [], {}, 0
    if "Args:\n" in doc:
        before, rest, block = _args_of(doc)
        for said, text in ENTRY.findall(block):  # "name, dtype: See `Loss`." gives way to what is said there
            if text.startswith(("See `", "As `")) and all(n.strip() in more for n in said.split(",")):
                block = block.replace(f"    {said}: {text}\n", "")
        own, names = described(f"Args:\n{block}"), list(names)
        for entry in re.split(r"^(?=    \S)", block, flags=re.M)[1:]:  # at the place of its first name
            first = entry.strip().partition(":")[0].partition(",")[0]
            place = names.index(first) if first in names else place
            entries.append((place, entry.rstrip("\n") + "\n"))
    lines = [(i, f"    {n}: {more[n]}\n") for i, n in enumerate(names) if n not in own and n in more]
    if not lines:
        return doc
    if not entries and "\n" in doc:
        before, rest = _before_sections(before, rest)
    block = "".join(entry for _, entry in sorted([*entries, *lines], key=lambda pair: pair[0]))
    parts = [before.rstrip("\n"), f"Args:\n{block}".rstrip("\n"), rest.strip("\n")]
    return "\n\n".join(part for part in parts if part)


def _before_sections(doc, rest):
    """Splits a docstring where its first section begins: there "Args:" goes."""
    lines = doc.split("\n")
    first = next((i for i, line in enumerate(lines) if SECTIONS.fullmatch(line)), None)
    return ("\n".join(lines[:first]), "\n".join(lines[first:]) + rest) if first else (doc, rest)


def complete(*rooms):
    """Completes the docstrings of the public functions and plain classes in the modules of rooms such as "losses"."""
    inside = tuple(f"fkeras.{room}." for room in rooms)
    for path, module in list(sys.modules.items()):
        if f"{path}.".startswith(inside):
            for name, value in vars(module).items():
                if name[0] != "_" and getattr(value, "__module__", None) == path:
                    maker, doc = value, value.__doc__ if inspect.isfunction(value) else None
                    if isinstance(value, type):  # whose `__doc__` would be composed if it were read
                        maker, doc = value.__init__, value.__dict__.get("__doc__")
                    if inspect.isfunction(maker) and isinstance(doc, str):
                        code = inspect.unwrap(maker).__code__
                        names = code.co_varnames[isinstance(value, type) : code.co_argcount + code.co_kwonlyargcount]
                        value.__doc__ = completed(doc, names)


class ClassDoc:
    """A class's `__doc__`: its own text, with the settings that it inherits; composed when it is read."""

    def __init__(self, own):
        self.own, self.whole = own, None

    def __get__(self, instance, cls):
        if cls.__dict__.get("__doc__") is not self:  # a class that derives from this one has none of its own
            return None
        if self.whole is None:
            known = {}
            for base in reversed(cls.__mro__[1:]):
                doc = base.__dict__.get("__doc__")
                doc = doc.own if isinstance(doc, ClassDoc) else doc
                said = described(inspect.cleandoc(doc)) if isinstance(doc, str) else {}
                known |= {name: text for name, text in said.items() if not text.startswith(("See `", "As `"))}
            names = [n for n in inspect.signature(cls).parameters if n != "self"]
            self.whole = completed(self.own, names, known)
        return self.whole
