"""Breast Cancer Wisconsin (Diagnostic), shipped with the package: 569 tumors, 30 measures (see BREAST_CANCER.md)."""

from fkeras.datasets import bundled

CLASSES = ("benign", "malignant")
_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
FEATURES = tuple(f"{kind} {measure}" for kind in ("mean", "error of", "worst") for measure in _MEASURES)
TEST_ROWS = 114


def load_data():
    """Returns ((x_train, y_train), (x_test, y_test)): 455 and 114 tumors, the latter held out.

    x: float64 [N, 30], measures of cell nuclei in an image, in the order of FEATURES. y: uint8 [N], 1 for a malignant
    tumor (its name is CLASSES[y]). The measures differ in size by factors of 10,000: normalize them first.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train.shape, x_test.shape, FEATURES[23], int(y_train.sum() + y_test.sum())
        ((455, 30), (114, 30), 'worst area', 212)
    """
    data = bundled.arrays("breast_cancer")
    return bundled.held_out(data["features"], data["labels"], TEST_ROWS)
