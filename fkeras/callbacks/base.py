"""The hooks, the base class whose subclasses fill them in, and the list that calls only those that were filled in."""

from fkeras.callbacks.logs import as_logs
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

    def set_model(self, model):
        """Called before training with the model."""
        self.model = model

    def set_params(self, params):
        """Called before training with the dict of training parameters."""
        self.params = params

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

    def __setattr__(self, name, value):
        field = type(self)._fields.get(name)
        object.__setattr__(self, name, field.resolve(type(self), value) if field else value)


class LambdaCallback(Callback):
    """A callback made of functions, one for each hook that is named.

    Args:
        on_epoch_begin, on_epoch_end: Functions of (epoch, logs).
        on_train_begin, on_train_end: Functions of (logs).
        on_train_batch_begin, on_train_batch_end: Functions of (batch, logs).
        **hooks: Any other hook by its name.

    Raises:
        TypeError: No such hook, or not a function.

    Example:
        >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
        >>> show.on_epoch_end(3, {"loss": 0.25})
        3 0.25

    Reference:
        As Keras 3, which takes names that are no hooks in silence.
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
            if hook not in HOOKS:
                raise TypeError(f"LambdaCallback: there is no hook {hook!r}.{nearest(hook, HOOKS)}")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"LambdaCallback({hook}=...): expected a function, got {function!r}.")
            setattr(self, hook, function)


class CallbackList(Callback):
    """Calls the hooks of several callbacks, in order; a hook that nobody overrides costs nothing.

    Args:
        callbacks: None, a callback, or a list of callbacks (nested lists are flattened).
        add_history: Adds a `History` when there is none.
        add_progbar: Adds a `ProgbarLogger` when there is none.
        model: Given to every callback.
        **params: Given to every callback, as `Callback.params`.

    Attributes:
        history: The `History` among the callbacks, or None.

    Raises:
        TypeError: One of `callbacks` is not a callback.

    Example:
        >>> calls = CallbackList([LambdaCallback(on_batch_end=print)], add_history=True)
        >>> calls.has_batch_hooks("train"), calls.has_batch_hooks("test"), len(calls)
        (True, False, 2)
    """

    def __init__(self, callbacks=None, add_history=False, add_progbar=False, model=None, **params):
        from fkeras.callbacks.progbar import ProgbarLogger
        from fkeras.callbacks.records import History

        self.callbacks = [_checked(c) for c in _flatten(callbacks)]
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())  # last, so that it shows what the others wrote into the logs
        self.history = next((c for c in self.callbacks if isinstance(c, History)), None)
        self.set_model(model)
        self.set_params(params)
        self._collect()

    def __iter__(self):
        return iter(self.callbacks)

    def __len__(self):
        return len(self.callbacks)

    def append(self, callback):
        """Adds one more callback at the end."""
        self.callbacks.append(_checked(callback))
        if self.model is not None:
            callback.set_model(self.model)
        if self.params:
            callback.set_params(self.params)
        self._collect()

    def set_model(self, model):
        """Gives the model to every callback, and the history to the model."""
        if model is None:
            return
        self.model = model
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params):
        """Gives the training parameters to every callback."""
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def uses(self, hook):
        """Whether any callback does something in `hook`."""
        return bool(self._hooks[hook])

    def has_batch_hooks(self, kind="train"):
        """Whether some callback must be called after every single step of `kind` ("train", "test", "predict").

        The progress bar, and others that say `every_batch = False`, are content with one call for several steps.
        """
        return any(getattr(c, "every_batch", True) for c in self._following(kind))

    def follows_batches(self, kind="train"):
        """Whether some callback is called during an epoch, were it only a progress bar."""
        return bool(self._following(kind))

    def _following(self, kind):
        hooks = (f"on_{kind}_batch_begin", f"on_{kind}_batch_end")
        return [c for c in self.callbacks if any(_uses(c, hook) for hook in hooks)]

    def _collect(self):
        self._hooks = {
            hook: [(getattr(c, hook), getattr(c, "every_batch", True)) for c in self.callbacks if _uses(c, hook)]
            for hook in HOOKS
        }

    def _call(self, hook, logs, *where):
        functions = self._hooks[hook]
        if functions:
            logs = as_logs(logs)
            for function, reads in functions:
                if reads:
                    logs.arrays()  # a dict that looks empty to C code (json) until it is opened; nothing waits
                function(*where, logs)


def _list_hook(hook):
    if "batch" in hook or "epoch" in hook:

        def call(self, index, logs=None):
            self._call(hook, logs, index)

    else:

        def call(self, logs=None):
            self._call(hook, logs)
            self._collect()  # a callback may have given itself hooks while it began

    call.__name__, call.__doc__ = hook, getattr(Callback, hook).__doc__
    call.__qualname__ = f"CallbackList.{hook}"
    return call


for _hook in HOOKS:
    setattr(CallbackList, _hook, _list_hook(_hook))


def _uses(callback, hook):
    return callback.uses(hook) if isinstance(callback, Callback) else is_overridden(callback, hook)


def _flatten(callbacks):
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [c for inner in callbacks for c in _flatten(inner)]
    return [callbacks]


def _checked(callback):
    if isinstance(callback, type):
        raise TypeError(f"callbacks: expected objects, got the class {callback.__name__}. Write {callback.__name__}().")
    if not isinstance(callback, Callback) and not hasattr(callback, "set_model"):
        raise TypeError(
            f"callbacks: expected Callback objects, got {callback!r} ({type(callback).__name__}). "
            "A function becomes one with LambdaCallback(on_epoch_end=function)."
        )
    return callback
