"""The Federalist, shipped with the package: who wrote a passage, Hamilton or Madison? (See FEDERALIST.md.)

In 1787 and 1788 both wrote essays for the Constitution under one name, "Publius". Of twelve it was disputed for long
whose they are; since Mosteller and Wallace counted their words they are taken to be Madison's.
"""

import numpy as np

from fkeras.datasets import bundled

CLASSES = ("Hamilton", "Madison")
MADISON = (10, 14, *range(37, 49))  # numbers of essays
DISPUTED = (*range(49, 59), 62, 63)
TEST = (16, 34, 71, 83, 14, 41, 46)  # essays held out whole, so that no passage of theirs is known


def load_data():
    """Returns ((x_train, y_train), (x_test, y_test)): 550 and 193 passages, those of seven essays being held out.

    x: array [N] of strings, whole sentences, about 100 words. y: uint8 [N], the author (his name is CLASSES[y]).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train[0][:53], CLASSES[y_train[0]], len(x_train), len(x_test)
        ('After an unequivocal experience of the inefficacy of ', 'Hamilton', 550, 193)
    """
    texts, papers = _passages()
    labels = np.isin(papers, MADISON).astype(np.uint8)
    test, known = np.isin(papers, TEST), ~np.isin(papers, DISPUTED)
    train = known & ~test
    return (texts[train], labels[train]), (texts[test], labels[test])


def load_disputed():
    """Returns (x, papers): the 238 passages of the twelve disputed essays, and the number of each one's essay.

    Example:
        >>> x, papers = load_disputed()
        >>> len(x), sorted(set(papers.tolist()))
        (238, [49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 62, 63])
    """
    texts, papers = _passages()
    wanted = np.isin(papers, DISPUTED)
    return texts[wanted], papers[wanted]


def _passages():
    data = bundled.arrays("federalist")
    text, stops = data["text"].tobytes(), data["ends"].tolist()
    passages = np.empty(len(stops), object)
    passages[:] = [text[start:stop].decode() for start, stop in zip([0, *stops[:-1]], stops, strict=True)]
    return passages, data["papers"]
