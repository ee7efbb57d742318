"""The hooks, and the base class whose subclasses fill them in."""

from fkeras.core.settings import Configured, nearest

HOOKS = tuple(
    f"on_{kind}_{edge}" for kind in ("train", "test", "predict", "epoch", "batch") for edge in ("begin", "end")
) + tuple(f"on_{kind}_batch_{edge}" for kind in ("train", "test", "predict") for edge in ("begin", "end"))


class Callback:
    """Base of everything that watches or steers training; subclasses override the hooks they need.

    Hooks that are not overridden cost nothing. Overriding a batch hook makes the training loop stop after every single
    step to call it; a callback whose batch hooks may also be called once for several steps says `every_batch = False`.

    Attributes:
        model: The model being trained. `model.stop_training = True` ends training.
        params: Dict with "epochs", "steps" (None when not known) and "verbose".

    Example:
        >>> class Losses(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, logs["loss"])
        >>> CallbackList([Losses()]).on_epoch_end(0, {"loss": 0.5})
        0 0.5

    Reference:
        As Keras 3. There a hook's logs are floats too; here they become floats when they are read.
    """

    model = None
    params = None
    every_batch = True
    remembers = ()  # the attributes that a training which is resumed needs back

    def set_model(self, model):
        """Called before training with the model."""
        self.model = model

    def set_params(self, params):
        """Called before training with the dict of training parameters."""
        self.params = params

    def state(self):
        """Returns what this callback has to know when training goes on in another process: a tree of plain values and
        arrays. A callback of one's own lists attributes in `remembers`, or writes `state` and `restore`."""
        return {name: getattr(self, name) for name in self.remembers}

    def restore(self, state):
        """Takes what `state` returned, after `on_train_begin`."""
        for name, value in state.items():
            setattr(self, name, value)

    def uses(self, hook):
        """Whether `hook` ("on_epoch_end", ...) does something in this callback; the others are never called."""
        return is_overridden(self, hook)

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch; `logs` are the last epoch's."""

    def on_test_begin(self, logs=None):
        """Before evaluation or validation."""

    def on_test_end(self, logs=None):
        """After evaluation or validation, with its results."""

    def on_predict_begin(self, logs=None):
        """Before prediction."""

    def on_predict_end(self, logs=None):
        """After prediction."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before epoch number `epoch`, counted from 0."""

    def on_epoch_end(self, epoch, logs=None):
        """After an epoch, with its metrics; validation metrics begin with "val_"."""

    def on_batch_begin(self, batch, logs=None):
        """Another name for `on_train_batch_begin`."""

    def on_batch_end(self, batch, logs=None):
        """Another name for `on_train_batch_end`."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before training step number `batch` of this epoch, counted from 0."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """After training step number `batch`, with the epoch's metrics so far."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch, logs=None):
        """Before evaluation step number `batch`."""

    def on_test_batch_end(self, batch, logs=None):
        """After evaluation step number `batch`, with the metrics so far."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Before prediction step number `batch`."""

    def on_predict_batch_end(self, batch, logs=None):
        """After prediction step number `batch`; `logs` may hold its "outputs"."""


def is_overridden(callback, hook, base=Callback):
    """Whether `callback` does something in `hook` that `base` does not. Sees functions set on the object, and
    knows real Keras's callbacks, whose untouched hooks are marked."""
    method = getattr(callback, hook, None)
    if method is None:
        return False
    function = getattr(method, "__func__", method)
    if function is not getattr(base, hook) and not getattr(method, "_is_default", False):
        return True
    # An untouched on_train_batch_* passes the call on to on_batch_*, its older name.
    return hook.startswith("on_train_batch") and is_overridden(callback, hook.replace("_train", ""), base)


class ConfiguredCallback(Configured, Callback):
    """A callback whose settings are fields. Unlike a layer's, they can be assigned later, as Keras users do."""

    writes = None  # the setting that says where to, in a callback that writes files
    makes_folders = True  # whether the folder need not be there

    def __setattr__(self, name, value):
        field = type(self)._fields.get(name)
        object.__setattr__(self, name, field.resolve(type(self), value) if field else value)


class LambdaCallback(Callback):
    """A callback made of functions, one for each hook that is named.

    Args:
        on_epoch_begin, on_epoch_end: Functions of (epoch, logs).
        on_train_begin, on_train_end: Functions of (logs).
        on_train_batch_begin, on_train_batch_end: Functions of (batch, logs).
        **hooks: Any other hook by its name, or a method of another name.

    Raises:
        TypeError: No such hook, or not a function.

    Example:
        >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
        >>> show.on_epoch_end(3, {"loss": 0.25})
        3 0.25

    Reference:
        As Keras 3, which takes also misspelt hooks in silence.
    """

    def __init__(
        self,
        on_epoch_begin=None,
        on_epoch_end=None,
        on_train_begin=None,
        on_train_end=None,
        on_train_batch_begin=None,
        on_train_batch_end=None,
        **hooks,
    ):
        hooks |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for hook, function in hooks.items():
            if hook not in HOOKS and hook.startswith("on_"):
                raise TypeError(f"LambdaCallback: there is no hook {hook!r}.{nearest(hook, HOOKS)}")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"LambdaCallback({hook}=...): expected a function, got {function!r}.")
            setattr(self, hook, function)
