"""IMDB reviews: 50,000 texts about films, good or bad, as ranks of words (Maas et al., 2011). Downloaded once."""

import functools

import numpy as np

from fkeras.core.settings import named_arguments
from fkeras.datasets import remote, word_lists


@functools.partial(named_arguments, what="imdb.load_data")
def load_data(
    path="imdb.npz",
    num_words=None,
    skip_top=0,
    maxlen=None,
    seed=113,
    start_char=1,
    oov_char=2,
    index_from=3,
):
    """Returns ((x_train, y_train), (x_test, y_test)): 25,000 reviews each.

    x: array [N] of lists of ints, the ranks of the words by frequency, plus `index_from`. y: int64 [N], 1 for praise.

    Args:
        path: File in the folder `datasets` of the cache.
        num_words: Words from this number on become `oov_char`.
        skip_top: So do words below this number.
        maxlen: Reviews that are as long or longer are left out.
        seed: Of the order of the reviews.
        start_char: What every review begins with; None: nothing.
        oov_char: Stands for the words left out; None: nothing does.
        index_from: Added to each word's rank.

    Raises:
        OSError: It is not in the cache and could not be downloaded.
    """
    data = remote.read_npz(remote.fetch("imdb", path))
    drawn, parts = np.random.RandomState(seed), []
    for part in ("train", "test"):
        order = np.arange(len(data[f"x_{part}"]))
        drawn.shuffle(order)
        x = word_lists.marked(data[f"x_{part}"][order], start_char, index_from)
        y = data[f"y_{part}"][order]
        parts.append((x, y) if not maxlen else word_lists.shorter(x, y, maxlen))
    (x_train, y_train), (x_test, y_test) = parts
    both = word_lists.limited(x_train + x_test, num_words, skip_top, oov_char)
    at = len(x_train)
    return (word_lists.as_array(both[:at]), y_train), (word_lists.as_array(both[at:]), y_test)


def get_word_index(path="imdb_word_index.json"):
    """Returns {word: rank}: 1 for the most frequent. In `load_data` a word's number is its rank plus `index_from`."""
    return word_lists.read_words(remote.fetch("imdb_words", path))
