"""The two large models of `benchmarks.accelerator`: sizes, data and hyperparameters, stated once for all peers.

Every peer computes in the policy's compute dtype and keeps parameters, running statistics, moments and the loss in
float32; logits have the compute dtype.
"""

from typing import NamedTuple

import numpy as np


class ResNet(NamedTuple):
    """ResNet-50 v1.5 (He et al., 2015; the stride is that of the 3x3 convolution) with SGD and momentum.

    batch, image, classes: Rows of a step, height and width, classes.
    blocks: Bottleneck blocks of each stage. width: Channels within those of the first stage; out come four times more.
    steps: Of an epoch. rate: Of learning. policy: fkeras's name of the dtypes.
    """

    batch: int = 256
    image: int = 224
    blocks: tuple = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1000
    steps: int = 16
    rate: float = 0.1
    policy: str = "mixed_bfloat16"

    name, unit, units_per_row = "resnet50", "images", 1
    momentum, norm_momentum, epsilon = 0.9, 0.9, 1e-5

    def layout(self):
        """Yields (name, channels in, channels within, stride) of each block."""
        channels = self.width
        for stage, count in enumerate(self.blocks):
            for block in range(count):
                within = self.width << stage
                yield f"{stage}_{block}", channels, within, 2 if stage and not block else 1
                channels = 4 * within

    def data(self, seed=0):
        """Returns images, float32 in [0, 1), and class numbers."""
        rng, rows = np.random.default_rng(seed), self.batch * self.steps
        x = rng.random((rows, self.image, self.image, 3), np.float32)
        return x, rng.integers(0, self.classes, rows, np.int32)


class Gpt(NamedTuple):
    """GPT-2 small (Radford et al., 2019) with AdamW: no dropout, gelu by the error function, a head of its own.

    The head is not tied to the embedding and has no bias; 50,257 letters are rounded up to a multiple of 128.
    """

    batch: int = 8
    length: int = 1024
    blocks: int = 12
    heads: int = 12
    width: int = 768
    vocabulary: int = 50_304
    steps: int = 32
    rate: float = 6e-4
    policy: str = "mixed_bfloat16"

    name, unit = "gpt2", "tokens"
    decay, betas, adam_epsilon, epsilon = 0.1, (0.9, 0.95), 1e-8, 1e-5

    @property
    def units_per_row(self):
        return self.length

    def data(self, seed=0):
        """Returns tokens [B, T], and for each the one that follows."""
        rng = np.random.default_rng(seed)
        tokens = rng.integers(0, self.vocabulary, (self.batch * self.steps, self.length + 1), np.int32)
        return tokens[:, :-1].copy(), tokens[:, 1:].copy()


MODELS = {"resnet50": ResNet(), "gpt2": Gpt()}
SMALL = {  # the same in miniature, for the CPU
    "resnet50": ResNet(batch=8, image=32, blocks=(2, 1), width=8, classes=10, steps=3),
    "gpt2": Gpt(batch=4, length=16, blocks=2, heads=2, width=32, vocabulary=64, steps=3),
}


def compute_dtype(work):
    """Returns the name of the dtype that a model computes in."""
    return work.policy.removeprefix("mixed_")
