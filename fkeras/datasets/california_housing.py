"""California housing: 20,640 block groups of the census of 1990, 8 attributes, the value of a house (Pace & Barry,
1997). Downloaded once."""

from fkeras.datasets import remote

FEATURES = ("MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude")
SMALL = 600


def load_data(version="large", path="california_housing.npz", test_split=0.2, seed=113):
    """Returns ((x_train, y_train), (x_test, y_test)): 16,512 and 4,128 rows, or 480 and 120 of the small version.

    x: float32 [N, 8], in the order of FEATURES. y: float32 [N], dollars.

    Args:
        version: "large", or "small": 600 rows.
        path: File in the folder `datasets` of the cache.
        test_split: Share of the rows that is held out.
        seed: Of the order of the rows.

    Raises:
        OSError: It is not in the cache and could not be downloaded.
    """
    if version not in ("small", "large"):
        raise ValueError(f"california_housing.load_data: expected version 'small' or 'large', got {version!r}.")
    data = remote.read_npz(remote.fetch("california_housing", path))
    rows = SMALL if version == "small" else None
    return remote.split_rows(data["x"][:rows], data["y"][:rows], test_split, seed)
