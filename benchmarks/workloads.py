"""What is trained: sizes and data of the eight workloads, stated once for all peers.

Every peer builds the same model (the parent compares parameter counts), starts from its own draw of the same
distributions, and trains it with Adam (rate 0.001, epsilon 1e-7) in float32 on rows shuffled anew each epoch.
"""

from typing import NamedTuple

import numpy as np

LEARNING_RATE, EPSILON = 1e-3, 1e-7
PREDICT_BATCH = 256

VOCABULARY, WIDTH = 5000, 64  # of the two text classifiers
LETTERS, MODEL_WIDTH, HEADS, BLOCKS, DROPOUT = 96, 128, 4, 2, 0.1  # of the GPT


class Workload(NamedTuple):
    """A model and its data.

    name, says: Short name, and one line on the model.
    batch, rows: Rows of a training step and of an epoch.
    inputs: Shape of a row. tokens: The inputs are integers below this, else normal floats (None).
    targets: Shape of a row's targets. classes: They are integers below this (softmax cross-entropy of logits), else
        floats (mean squared error). None: the inputs are the targets.
    """

    name: str
    says: str
    batch: int
    rows: int
    inputs: tuple
    tokens: int | None
    targets: tuple | None
    classes: int | None

    @property
    def steps(self):
        """Steps of an epoch."""
        return self.rows // self.batch

    def data(self, seed=0):
        """Returns (x, y), float32 or int32."""
        rng = np.random.default_rng(seed)

        def draw(shape, below):
            shape = (self.rows, *shape)
            return rng.integers(0, below, shape, np.int32) if below else rng.random(shape, np.float32)

        x = draw(self.inputs, self.tokens)
        return x, (x if self.targets is None else draw(self.targets, self.classes))


WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp", "784-128-10", 32, 60_000, (784,), None, (), 10),
        Workload("tiny", "MLP 10-16-1", 32, 64_000, (10,), None, (1,), None),
        Workload("cnn", "Conv 32, pool, Conv 64, pool, Dropout, Dense; 28x28", 64, 6400, (28, 28, 1), None, (), 10),
        Workload("resnet", "ResNet-8 with BatchNormalization; 32x32x3", 64, 2560, (32, 32, 3), None, (), 10),
        Workload("lstm", "Embedding, LSTM 64, Dense; T 80", 32, 3200, (80,), VOCABULARY, (), 2),
        Workload("gpt", "2 blocks, 4 heads, width 128; T 64", 32, 1280, (64,), LETTERS, (64,), LETTERS),
        Workload("conv1d", "Embedding, Conv1D 128 of 5, max over time; T 200", 32, 3200, (200,), VOCABULARY, (), 2),
        Workload("autoencoder", "2 Conv2D, 2 Conv2DTranspose; 28x28", 64, 6400, (28, 28, 1), None, None, None),
    )
}
