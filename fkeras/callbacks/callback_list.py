"""The list of callbacks that calls only the hooks which somebody filled in."""

from fkeras.callbacks.base import HOOKS, Callback, is_overridden
from fkeras.callbacks.logs import as_logs
from fkeras.callbacks.progbar import ProgbarLogger
from fkeras.callbacks.records import History


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
