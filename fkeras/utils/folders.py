"""Data sets from files in folders: a folder for each class, read by threads that run ahead.

    photos/cat/1.jpg, photos/cat/2.jpg, ..., photos/dog/1.jpg, ...  ->  batches (images, labels)

Which file belongs to which part of a `validation_split` is decided as in Keras, so that a seed gives the same split.
"""

import os
from typing import Any

import numpy as np

from fkeras.callbacks.progbar import say
from fkeras.core import dtypes
from fkeras.core.settings import nearest
from fkeras.data.datasets import Dataset
from fkeras.utils import images, sound
from fkeras.utils.arrays import to_categorical
from fkeras.utils.resample import METHODS, resize

LABEL_MODES = ("int", "categorical", "binary", None)
SUBSETS = ("training", "validation", "both")
SEEDS = 1_000_000  # unseeded: NumPy's generator draws one below this, as in Keras


def image_dataset_from_directory(
    directory,
    labels="inferred",
    label_mode="int",
    class_names=None,
    color_mode="rgb",
    batch_size=32,
    image_size=(256, 256),
    shuffle=True,
    seed=None,
    validation_split=None,
    subset=None,
    interpolation="bilinear",
    follow_links=False,
    crop_to_aspect_ratio=False,
    pad_to_aspect_ratio=False,
    data_format=None,
    format=None,
    verbose=True,
) -> Any:
    """Returns a data set of the images in a folder: batches (images, labels), or images without labels.

    Args:
        directory: Folder with one folder of images (.jpg, .jpeg, .png, .bmp, .gif) for each class.
        labels: "inferred" from the folders' names; a list of ints, one for each file in the order of their paths; or
            None: images only.
        label_mode: "int" (int32 [B]), "categorical" (one-hot float32 [B, classes]), "binary" (float32 [B, 1]), or
            None: images only.
        class_names: The folders' names in the order of the labels; alphabetical by default.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: Images in a batch; None: single images.
        image_size: (height, width) that every image is resized to.
        shuffle: A new order in every epoch; False: the order of the paths.
        seed: Of the order and of the split.
        validation_split: Share of the files that is kept for validation.
        subset: With `validation_split`: "training", "validation", or "both" for a pair of data sets, of which the
            second keeps its order.
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic".
        follow_links: Whether links to folders are followed.
        crop_to_aspect_ratio: Crop the middle to the form of `image_size` before resizing.
        pad_to_aspect_ratio: Put black bars around the image before resizing.
        data_format: "channels_last" or "channels_first"; by default `config.image_data_format()`.
        format: None, "tf" or "grain", between which Keras chooses; here it is always the `Dataset` below.
        verbose: Print how many files there are.

    Returns:
        `fkeras.data.Dataset` with `class_names` and `file_paths`: images float32 [B, H, W, C] with values from 0 to
        255. It has `map`, `cache`, `shuffle`, `take`, `prefetch`, `batch` and so on.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: No files, or arguments that contradict each other.

    Reference:
        As Keras 3; the order within an epoch is this library's own.
    """
    what = "image_dataset_from_directory"
    images._check_mode(what, color_mode)
    images.need("PIL.Image", what)
    if interpolation not in METHODS:
        raise ValueError(f"{what}: unknown interpolation {interpolation!r}.{nearest(interpolation, METHODS)}")
    if not isinstance(image_size, (tuple, list)) or len(image_size) != 2 or min(image_size) < 1:
        raise ValueError(f"{what}: expected image_size as (height, width), got {image_size!r}.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(f"{what}: expected crop_to_aspect_ratio or pad_to_aspect_ratio, got both.")
    first = dtypes.data_format(data_format) == "channels_first"
    size = tuple(map(int, image_size))

    def read(path):
        image = images.read_image(path, color_mode)
        image = resize(image, size, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio)
        return image.transpose(2, 0, 1) if first else image

    found = _Files(
        what, directory, labels, label_mode, class_names, images.FORMATS, shuffle, seed, follow_links, verbose
    )
    check_format(what, format)
    return found.datasets(read, batch_size, validation_split, subset)


def text_dataset_from_directory(
    directory,
    labels="inferred",
    label_mode="int",
    class_names=None,
    batch_size=32,
    max_length=None,
    shuffle=True,
    seed=None,
    validation_split=None,
    subset=None,
    follow_links=False,
    format=None,
    verbose=True,
) -> Any:
    """Returns a data set of the text files (.txt) in a folder: batches (texts, labels), or texts without labels.

    Args:
        max_length: Characters of a text that are kept; None: all.
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links,
            format, verbose: As in `image_dataset_from_directory`.

    Returns:
        `fkeras.data.Dataset` with `class_names` and `file_paths`: texts are arrays [B] of strings, decoded as UTF-8;
        bytes that are not become the replacement character.

    Raises:
        ValueError: No files, or arguments that contradict each other.

    Reference:
        As Keras 3, which gives bytes and cuts them, while here characters are cut.
    """
    what = "text_dataset_from_directory"

    def read(path):
        with open(path, "rb") as file:
            return np.array(file.read().decode("utf-8", "replace")[:max_length], object)

    found = _Files(what, directory, labels, label_mode, class_names, (".txt",), shuffle, seed, follow_links, verbose)
    check_format(what, format)
    return found.datasets(read, batch_size, validation_split, subset)


def audio_dataset_from_directory(
    directory,
    labels="inferred",
    label_mode="int",
    class_names=None,
    batch_size=32,
    sampling_rate=None,
    output_sequence_length=None,
    ragged=False,
    shuffle=True,
    seed=None,
    validation_split=None,
    subset=None,
    follow_links=False,
    verbose=True,
) -> Any:
    """Returns a data set of the sounds (.wav) in a folder: batches (sounds, labels), or sounds without labels.

    Args:
        sampling_rate: Samples per second that every sound is brought to; None: as in the file.
        output_sequence_length: Samples in each sound: longer ones are cut, shorter ones end in zeros. None: as many as
            the longest in the batch has; every length then compiles a program of its own.
        ragged: Only False: arrays of JAX have one length.
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links,
            verbose: As in `image_dataset_from_directory`.

    Returns:
        `fkeras.data.Dataset` with `class_names` and `file_paths`: sounds are float32 [B, T, channels] in [-1, 1].

    Raises:
        ValueError: No files, files that are no WAV files, or arguments that contradict each other.

    Reference:
        As Keras 3, which needs tensorflow-io to change the rate; here a Lanczos filter does.
    """
    what = "audio_dataset_from_directory"
    if ragged:
        raise ValueError(f"{what}: ragged=True gives sounds of many lengths; give output_sequence_length instead.")
    for name, value in (("sampling_rate", sampling_rate), ("output_sequence_length", output_sequence_length)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{what}: expected {name} as an integer >= 1 or None, got {value!r}.")

    def read(path):
        audio, rate = sound.read_wav(path)
        if sampling_rate is not None:
            audio = sound.change_rate(audio, rate, sampling_rate)
        return audio if output_sequence_length is None else _of_length(audio, output_sequence_length)

    found = _Files(what, directory, labels, label_mode, class_names, (".wav",), shuffle, seed, follow_links, verbose)
    return found.datasets(read, batch_size, validation_split, subset, _pad_to_longest)


def _of_length(audio, length):
    return np.pad(audio[:length], ((0, max(length - len(audio), 0)), (0, 0)))


def _pad_to_longest(audios):
    length = max(map(len, audios))
    return [_of_length(a, length) for a in audios]


def check_format(what, format):
    if format not in (None, "tf", "grain"):
        raise ValueError(f"{what}: expected format None, 'tf' or 'grain', got {format!r}.")


# ------------------------------------------------------------------------------------------------ files


class _Files:
    """The files in a folder with their labels."""

    def __init__(self, what, directory, labels, label_mode, class_names, formats, shuffle, seed, follow_links, verbose):
        self.what, self.label_mode, self.shuffle, self.verbose = what, label_mode, shuffle, verbose
        self.given_seed = seed
        _check_labels(what, labels, label_mode, class_names)
        labels = None if label_mode is None else labels
        directory = os.fspath(directory)
        if not os.path.isdir(directory):
            raise ValueError(f"{what}: there is no folder {directory!r} (current folder: {os.getcwd()!r}).")
        self.seed = int(np.random.randint(SEEDS)) if seed is None else seed
        inferred = isinstance(labels, str)
        classes = sorted(e.name for e in os.scandir(directory) if e.is_dir() and not e.name.startswith("."))
        if inferred and class_names is not None:
            if set(class_names) != set(classes):
                raise ValueError(
                    f"{what}: class_names has to name the folders in {directory!r}: {classes}, got {list(class_names)}."
                )
            classes = list(class_names)
        self.names = classes if inferred else (list(map(str, sorted(set(labels)))) if labels is not None else None)
        self.paths, owners = [], []
        for number, name in enumerate(classes if inferred else [""]):
            found = list(_walk(os.path.join(directory, name) if name else directory, formats, follow_links))
            self.paths += found
            owners += [number] * len(found)
        if not self.paths:
            raise ValueError(
                f"{what}: there are no files in {directory!r} that end in {', '.join(formats)}"
                f"{', in folders named as their classes' if inferred else ''}."
            )
        if labels is not None and not inferred:
            if len(labels) != len(self.paths):
                raise ValueError(f"{what}: got {len(labels)} labels for {len(self.paths)} files in {directory!r}.")
            owners = list(labels)
        if label_mode == "binary" and len(self.names or ()) != 2:
            raise ValueError(f"{what}: label_mode='binary' needs two classes, got {len(self.names or ())}.")
        if verbose:
            kinds = f" belonging to {len(self.names)} classes" if self.names is not None else ""
            say(f"Found {len(self.paths)} files{kinds}.")
        if shuffle:  # with one generator each, so that they stay together
            np.random.RandomState(self.seed).shuffle(self.paths)
            np.random.RandomState(self.seed).shuffle(owners)
        self.owners = None if labels is None else np.asarray(owners)

    def datasets(self, read, batch_size, validation_split, subset, even=None):
        """Returns the data set of the part asked for, or of both.

        Args:
            read: Function of a path that returns an array.
            even: Function that gives the arrays of a batch one shape.
        """
        what = self.what

        def make(rows, shuffle=self.shuffle):
            return self._dataset(rows, read, batch_size, even, shuffle)

        if validation_split is None:
            if subset is not None:
                raise ValueError(f"{what}: subset={subset!r} needs a validation_split, such as 0.2.")
            return make(slice(None))
        if not 0 < validation_split < 1:
            raise ValueError(f"{what}: expected validation_split in (0, 1), got {validation_split!r}.")
        if subset not in SUBSETS:
            raise ValueError(f"{what}: with validation_split, expected subset as one of {SUBSETS}, got {subset!r}.")
        if self.shuffle and self.given_seed is None and subset != "both":
            raise ValueError(
                f"{what}: give a seed (or shuffle=False): without, the two parts of validation_split would overlap."
            )
        held = int(validation_split * len(self.paths))
        at = len(self.paths) - held
        parts = {"training": slice(0, at), "validation": slice(at, None)}
        wanted = list(parts) if subset == "both" else [subset]
        for name in wanted:
            count = len(self.paths[parts[name]])
            if not count:
                raise ValueError(
                    f"{what}: validation_split={validation_split} of {len(self.paths)} files leaves none for {name}."
                )
            if self.verbose:
                say(f"Using {count} files for {name}.")
        if subset != "both":
            return make(parts[subset])
        return make(parts["training"]), make(parts["validation"], shuffle=False)  # the latter in the order of the seed

    def _dataset(self, part, read, batch_size, even, shuffle):
        paths, labels = self.paths[part], self.owners
        if labels is not None:
            if self.label_mode == "categorical":
                labels = to_categorical(labels, len(self.names)).astype("float32")
            elif self.label_mode == "binary":
                labels = labels.astype("float32")[:, None]
            else:
                labels = labels.astype("int32")
            labels = labels[part]

        def row(i):
            value = read(paths[i])
            return value if labels is None else (value, labels[i])

        about = {"class_names": self.names, "file_paths": paths}
        rows = Dataset.of_rows(len(paths), row, shuffle, self.seed, about)
        return rows if batch_size is None else rows.batch(batch_size, stack=_stacker(labels is not None, even))


def _check_labels(what, labels, label_mode, class_names):
    if label_mode not in LABEL_MODES:
        raise ValueError(f"{what}: expected label_mode as one of {LABEL_MODES}, got {label_mode!r}.")
    if isinstance(labels, str) and labels != "inferred":
        raise ValueError(f"{what}: expected labels 'inferred', None or a list of ints, got {labels!r}.")
    if labels is not None and not isinstance(labels, (str, list, tuple)):
        raise ValueError(f"{what}: expected labels 'inferred', None or a list of ints, got {type(labels).__name__}.")
    if class_names is not None and labels != "inferred":
        raise ValueError(f"{what}: class_names goes with labels='inferred' only, got labels={type(labels).__name__}.")


def _walk(folder, formats, follow_links):
    """Yields the paths of the files that end so, sorted by folder and name."""
    for root, _, names in sorted(os.walk(folder, followlinks=follow_links), key=lambda found: found[0]):
        yield from (os.path.join(root, name) for name in sorted(names) if name.lower().endswith(formats))


def _stacker(labelled, even):
    def stack(rows):
        values, labels = zip(*rows, strict=True) if labelled else (rows, None)
        values = np.stack(even(values) if even else values)
        return (values, np.stack(labels)) if labelled else values

    return stack
