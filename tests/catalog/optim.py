"""One row for each way to set an optimizer, with arrays to run it on; every law of tests/test_optim.py runs on each."""

from typing import NamedTuple

import numpy as np

SHAPES = {
    ("dense", "kernel"): (3, 2),
    ("dense", "bias"): (2,),
    ("embedding", "embeddings"): (3, 2),
    ("conv", "kernel"): (2, 2, 1, 3),
}
PATHS = list(SHAPES)
STEPS = 6


class Row(NamedTuple):
    """An optimizer's class name and arguments; a schedule is written as (class name, arguments)."""

    name: str
    kwargs: dict

    def build(self, optimizers):
        """Makes the optimizer of either library."""
        made = {
            k: getattr(optimizers.schedules, v[0])(**v[1]) if isinstance(v, tuple) else v
            for k, v in self.kwargs.items()
        }
        return getattr(optimizers, self.name)(**made)

    def __str__(self):
        words = [
            k if isinstance(v, (bool, tuple)) else f"{k}={v}" for k, v in self.kwargs.items() if k != "learning_rate"
        ]
        return "-".join([self.name, *words])


# Rates are large, so that five updates move the arrays by more than rounding could hide.
OWN = [
    Row("SGD", {"learning_rate": 0.1}),
    Row("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    Row("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    Row("RMSprop", {"learning_rate": 0.05}),
    Row("RMSprop", {"learning_rate": 0.05, "rho": 0.8, "momentum": 0.5, "epsilon": 1e-4}),
    Row("RMSprop", {"learning_rate": 0.05, "momentum": 0.5, "centered": True}),
    Row("Adam", {"learning_rate": 0.05}),
    Row("Adam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3, "amsgrad": True}),
    Row("AdamW", {"learning_rate": 0.05}),
    Row("AdamW", {"learning_rate": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    Row("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.5, "epsilon": 1e-3}),
    Row("Adadelta", {"learning_rate": 1.0}),
    Row("Adadelta", {"learning_rate": 1.0, "rho": 0.5, "epsilon": 1e-2}),
    Row("Adamax", {"learning_rate": 0.05}),
    Row("Adamax", {"learning_rate": 0.05, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-2}),
    Row("Nadam", {"learning_rate": 0.05}),
    Row("Nadam", {"learning_rate": 0.05, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-2}),
    Row("Ftrl", {"learning_rate": 0.1}),
    Row(
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.3,
            "l1_regularization_strength": 0.1,
            "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.05,
            "beta": 0.4,
        },
    ),
    Row("Lion", {"learning_rate": 0.05}),
    Row("Lion", {"learning_rate": 0.05, "beta_1": 0.5, "beta_2": 0.7}),
    Row("Lamb", {"learning_rate": 0.05}),
    Row("Lamb", {"learning_rate": 0.05, "beta_1": 0.5, "beta_2": 0.7, "weight_decay": 0.1}),
    Row("Adafactor", {"learning_rate": 0.5}),
    Row("Adafactor", {"learning_rate": 0.3, "beta_2_decay": -0.5, "epsilon_2": 0.5, "clip_threshold": 0.5}),
    Row("Adafactor", {"learning_rate": 0.9, "relative_step": False}),
    Row("Muon", {"learning_rate": 0.05, "adam_weight_decay": 0.2}),
    Row(
        "Muon",
        {
            "learning_rate": 0.05,
            "weight_decay": None,
            "nesterov": False,
            "rms_rate": None,
            "ns_steps": 3,
            "adam_lr_ratio": 0.5,
            "exclude_embeddings": False,
        },
    ),
    Row("Muon", {"learning_rate": 0.05, "exclude_layers": ["den.e"], "exclude_embeddings": False}),
    Row("ScheduleFreeAdamW", {"learning_rate": 0.05}),
    Row("ScheduleFreeAdamW", {"learning_rate": 0.05, "beta_1": 0.7, "warmup_steps": 4, "weight_decay": 0.1}),
]

EXPONENTIAL = ("ExponentialDecay", {"initial_learning_rate": 0.2, "decay_steps": 2, "decay_rate": 0.5})
SHARED = [
    Row("SGD", {"learning_rate": 0.1, "clipnorm": 0.5}),
    Row("SGD", {"learning_rate": 0.1, "clipvalue": 0.3}),
    Row("Adam", {"learning_rate": 0.1, "global_clipnorm": 0.5}),
    Row("SGD", {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.2}),
    Row("Adam", {"learning_rate": 0.1, "loss_scale_factor": 64.0, "clipvalue": 0.02}),
    Row("Adam", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7}),
    Row("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 2}),
    Row("Adam", {"learning_rate": 0.1, "gradient_accumulation_steps": 2, "clipnorm": 0.5, "weight_decay": 0.1}),
    Row("Nadam", {"learning_rate": 0.1, "gradient_accumulation_steps": 3}),
    Row(
        "SGD",
        {
            "learning_rate": EXPONENTIAL,
            "momentum": 0.9,
            "gradient_accumulation_steps": 2,
            "use_ema": True,
            "ema_overwrite_frequency": 2,
            "weight_decay": 0.1,
        },
    ),
    Row("Adam", {"learning_rate": EXPONENTIAL, "weight_decay": 0.1}),
    Row("Adafactor", {"learning_rate": EXPONENTIAL}),
]
CATALOG = OWN + SHARED


def arrays(seed, scale=1.0):
    """Arrays of the catalog's shapes: {path: float32 array}."""
    draw = np.random.default_rng(seed)
    return {path: (scale * draw.normal(size=shape)).astype("float32") for path, shape in SHAPES.items()}


def gradients():
    """The gradients of each step, of sizes that clipping sometimes touches."""
    return [arrays(100 + i, scale=(2.0, 0.1, 0.5)[i % 3]) for i in range(STEPS)]
