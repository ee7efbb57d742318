"""Sequences by Keras 2's names: padding, windows over a series, pairs of neighbouring words."""

import json
import random

import numpy as np

from fkeras.data import PyDataset
from fkeras.utils.arrays import pad_sequences

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]


class TimeseriesGenerator(PyDataset):
    """Batches of windows over a series with the value that follows each: data[i - length:i:sampling_rate], targets[i].

    Args:
        data: Array or list [T, ...].
        targets: As many.
        length: Steps that a window reaches back.
        sampling_rate: Steps between the values of a window.
        stride: Steps between windows.
        start_index, end_index: Only data[start_index:end_index + 1] is used.
        shuffle: Draw the windows of a batch at random.
        reverse: Windows begin with their last value.
        batch_size: Windows in a batch.
        **kwargs: workers, use_multiprocessing, max_queue_size, as of `PyDataset`.

    Example:
        >>> windows = TimeseriesGenerator(np.arange(6), np.arange(6), length=2, batch_size=3)
        >>> x, y = windows[0]
        >>> x.tolist(), y.tolist(), len(windows)
        ([[0, 1], [1, 2], [2, 3]], [2, 3, 4], 2)

    Reference:
        As the legacy class of Keras 3.
    """

    def __init__(
        self,
        data,
        targets,
        length,
        sampling_rate=1,
        stride=1,
        start_index=0,
        end_index=None,
        shuffle=False,
        reverse=False,
        batch_size=128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(data) != len(targets):
            raise ValueError(f"TimeseriesGenerator: expected as many targets as data, got {len(data)}, {len(targets)}.")
        self.data, self.targets, self.length = data, targets, length
        self.sampling_rate, self.stride, self.batch_size = sampling_rate, stride, batch_size
        self.shuffle, self.reverse = shuffle, reverse
        self.start_index = start_index + length  # of the first target
        self.end_index = len(data) - 1 if end_index is None else end_index
        if self.start_index > self.end_index:
            raise ValueError(
                f"TimeseriesGenerator: no window of {length} steps and a target fits between start_index={start_index} "
                f"and end_index={self.end_index}."
            )

    def __len__(self):
        windows = self.end_index - self.start_index + self.stride
        return -(-windows // (self.batch_size * self.stride))

    def __getitem__(self, index):
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            start = self.start_index + self.batch_size * self.stride * index
            stop = min(start + self.batch_size * self.stride, self.end_index + 1)
            rows = np.arange(start, stop, self.stride)
        x = np.array([self.data[row - self.length : row : self.sampling_rate] for row in rows])
        y = np.array([self.targets[row] for row in rows])
        return (x[:, ::-1], y) if self.reverse else (x, y)

    def get_config(self):
        """Returns the settings; data and targets as JSON, as Keras has them."""
        data, targets = (a.tolist() if isinstance(a, np.ndarray) else a for a in (self.data, self.targets))
        try:
            data, targets = json.dumps(data), json.dumps(targets)
        except TypeError as err:
            raise TypeError(f"TimeseriesGenerator: data and targets cannot be written as JSON ({err}).") from None
        return {
            "data": data,
            "targets": targets,
            "length": self.length,
            "sampling_rate": self.sampling_rate,
            "stride": self.stride,
            "start_index": self.start_index,
            "end_index": self.end_index,
            "shuffle": self.shuffle,
            "reverse": self.reverse,
            "batch_size": self.batch_size,
        }

    def to_json(self, **kwargs):
        """Returns the generator as JSON, in Keras's form; `kwargs` go to `json.dumps`."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def make_sampling_table(size, sampling_factor=1e-5):
    """Returns the probability with which the word of each rank is taken for `skipgrams`: frequent words more seldom.

        p = min(1, sqrt(f) / f)   with f = frequency / sampling_factor, and the frequency of rank r by Zipf's law
        1 / (r * (log(r) + gamma) + 1/2 - 1 / (12 * r)), gamma = 0.577 being Euler's constant, as Keras rounds it

    Args:
        size: Number of words.
        sampling_factor: That of word2vec.

    Returns:
        float64 [size].

    Example:
        >>> make_sampling_table(3).round(4).tolist()
        [0.0032, 0.0032, 0.0055]

    Reference:
        Mikolov et al., "Distributed Representations of Words and Phrases", 2013, section 2.3.
    """
    rank = np.arange(size, dtype=float)
    rank[:1] = 1
    inverse = rank * (np.log(rank) + 0.577) + 0.5 - 1 / (12 * rank)
    f = sampling_factor * inverse
    return np.minimum(1, f / np.sqrt(f))


def skipgrams(
    sequence,
    vocabulary_size,
    window_size=4,
    negative_samples=1.0,
    shuffle=True,
    categorical=False,
    sampling_table=None,
    seed=None,
):
    """Returns pairs of neighbouring words with label 1, and pairs with a random word with label 0.

    Args:
        sequence: Numbers of words; 0 is none and left out.
        vocabulary_size: Greatest number plus 1.
        window_size: How far apart neighbours may be.
        negative_samples: Random pairs for each true one.
        shuffle: Whether the pairs are shuffled.
        categorical: Labels [0, 1] and [1, 0].
        sampling_table: Probabilities [vocabulary_size] of taking a word, such as `make_sampling_table` returns.
        seed: Of the shuffling. Everything is drawn from Python's `random`.

    Returns:
        (pairs, labels), two lists.

    Example:
        >>> skipgrams([1, 2, 3], 4, window_size=1, negative_samples=0, shuffle=False)
        ([[1, 2], [2, 1], [2, 3], [3, 2]], [1, 1, 1, 1])

    Reference:
        Mikolov et al., "Efficient Estimation of Word Representations in Vector Space", 2013, arXiv:1301.3781.
    """
    pairs = []
    for i, word in enumerate(sequence):
        if not word or (sampling_table is not None and sampling_table[word] < random.random()):
            continue
        for j in range(max(i - window_size, 0), min(i + window_size + 1, len(sequence))):
            if j != i and sequence[j]:
                pairs.append([word, sequence[j]])
    labels = [[0, 1] if categorical else 1] * len(pairs)
    if negative_samples > 0:
        negatives = int(len(pairs) * negative_samples)
        words = [word for word, _ in pairs]
        random.shuffle(words)
        pairs += [[words[i % len(words)], random.randint(1, vocabulary_size - 1)] for i in range(negatives)]
        labels += [[1, 0] if categorical else 0] * negatives
    if shuffle:
        seed = random.randint(0, 10_000_000) if seed is None else seed
        for column in (pairs, labels):  # both the same way
            random.seed(seed)
            random.shuffle(column)
    return pairs, labels
