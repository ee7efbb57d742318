"""What the data sets of texts, which come as lists of words' ranks, have in common."""

import json

import numpy as np


def read_words(path):
    """Returns {word: rank} of a JSON file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def marked(sequences, start_char, index_from):
    """Returns the lists with `index_from` added to each rank and `start_char` before the first."""
    start = [] if start_char is None else [start_char]
    by = index_from or 0
    return [start + [word + by for word in words] for words in sequences]


def shorter(sequences, labels, maxlen):
    """Returns the lists with fewer than `maxlen` words and their labels.

    Raises:
        ValueError: There are none.
    """
    kept = [i for i, words in enumerate(sequences) if len(words) < maxlen]
    if not kept:
        raise ValueError(f"load_data: maxlen={maxlen} leaves no text: all have as many words or more. Raise it.")
    return [sequences[i] for i in kept], labels[kept]


def limited(sequences, num_words, skip_top, oov_char):
    """Returns the lists with `oov_char` (None: nothing) for words outside of skip_top <= word < num_words."""
    if not num_words:
        num_words = max(map(max, sequences))

    def known(word):
        return skip_top <= word < num_words

    if oov_char is None:
        return [[word for word in words if known(word)] for words in sequences]
    return [[word if known(word) else oov_char for word in words] for words in sequences]


def as_array(sequences):
    """Returns an array [N] of lists."""
    out = np.empty(len(sequences), object)
    out[:] = sequences
    return out
