"""Reuters newswires: 11,228 texts in 46 topics, as ranks of words. Downloaded once."""

import functools

import numpy as np

from fkeras.core.settings import named_arguments
from fkeras.datasets import remote, word_lists

TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass "
    "crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi "
    "iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"
).split()


@functools.partial(named_arguments, what="reuters.load_data")
def load_data(
    path="reuters.npz",
    num_words=None,
    skip_top=0,
    maxlen=None,
    test_split=0.2,
    seed=113,
    start_char=1,
    oov_char=2,
    index_from=3,
):
    """Returns ((x_train, y_train), (x_test, y_test)): 8,982 and 2,246 newswires.

    x: array [N] of lists of ints, the ranks of the words by frequency, plus `index_from`. y: int64 [N], the topic.

    Args:
        path: File in the folder `datasets` of the cache.
        num_words: Words from this number on become `oov_char`.
        skip_top: So do words below this number.
        maxlen: Texts that are as long or longer are left out.
        test_split: Share of the texts that is held out.
        seed: Of the order of the texts.
        start_char: What every text begins with; None: nothing.
        oov_char: Stands for the words left out; None: nothing does.
        index_from: Added to each word's rank.

    Raises:
        OSError: It is not in the cache and could not be downloaded.
    """
    data = remote.read_npz(remote.fetch("reuters", path))
    order = np.arange(len(data["x"]))
    np.random.RandomState(seed).shuffle(order)
    x, y = word_lists.marked(data["x"][order], start_char, index_from), data["y"][order]
    if maxlen:
        x, y = word_lists.shorter(x, y, maxlen)
    x = word_lists.as_array(word_lists.limited(x, num_words, skip_top, oov_char))
    at = int(len(x) * (1 - test_split))
    return (x[:at], y[:at]), (x[at:], y[at:])


def get_word_index(path="reuters_word_index.json"):
    """Returns {word: rank}: 1 for the most frequent. In `load_data` a word's number is its rank plus `index_from`."""
    return word_lists.read_words(remote.fetch("reuters_words", path))


def get_label_names():
    """Returns the names of the 46 topics, in the order of their numbers.

    Example:
        >>> get_label_names()[3]
        'earn'
    """
    return tuple(TOPICS)
