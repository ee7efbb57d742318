"""Boston housing: 506 districts, 13 attributes, the price of a house (Harrison & Rubinfeld, 1978). Downloaded once.

One attribute, B, was made of the share of Black residents on the assumption that segregation raises prices. Take
`california_housing` unless that is the subject.
"""

from fkeras.datasets import remote


def load_data(path="boston_housing.npz", test_split=0.2, seed=113):
    """Returns ((x_train, y_train), (x_test, y_test)): 404 and 102 districts.

    x: float64 [N, 13]. y: float64 [N], thousands of dollars.

    Args:
        path: File in the folder `datasets` of the cache.
        test_split: Share of the rows that is held out.
        seed: Of the order of the rows.

    Raises:
        OSError: It is not in the cache and could not be downloaded.
    """
    data = remote.read_npz(remote.fetch("boston_housing", path))
    return remote.split_rows(data["x"], data["y"], test_split, seed)
