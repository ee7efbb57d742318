"""Norms of gradients and updates in the logs."""

from fkeras.callbacks.base import ConfiguredCallback

GRADIENT, UPDATE = "gradient_norm", "update_norm"


class GradientNorms(ConfiguredCallback):
    """Puts the norms of gradients and of updates into the logs: of all weights together, and of each layer's.

        gradient_norm = sqrt(sum of squared gradients)        update_norm = sqrt(sum of (new - old weight)^2)

    They are computed within the compiled step, before clipping and without a loss scale, and like all logs are means
    over the epoch so far: "gradient_norm", "update_norm", "gradient_norm/<layer>", "update_norm/<layer>". The progress
    bar leaves those of layers out; `History`, `CSVLogger` and `TensorBoard` have them.

    Args:
        per_layer: Also each layer's.

    Example:
        >>> model = Sequential([Input((1,)), Dense(1, use_bias=False, kernel_initializer="ones", name="line")])
        >>> model.compile(SGD(0.5), "mse")
        >>> history = model.fit(np.ones((1, 1)), np.zeros((1, 1)), verbose=0, callbacks=[GradientNorms()]).history
        >>> history["gradient_norm"], history["update_norm/line"]  # of 2 w, where w is 1, and of half of that
        ([2.0], [1.0])

    Reference:
        This package's own.
    """

    per_layer: bool = True


def is_of_a_layer(name):
    """Whether a name in the logs is that of one layer's norm."""
    return name.startswith((f"{GRADIENT}/", f"{UPDATE}/"))
