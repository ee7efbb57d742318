"""The iterators of `ImageDataGenerator`: batches from an array, a folder or a table of file names."""

import os
import threading
import warnings

import numpy as np

from fkeras.callbacks.progbar import say
from fkeras.core import dtypes
from fkeras.data import PyDataset
from fkeras.utils.images import CHANNELS, array_to_img, img_to_array, load_img

FORMATS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
CLASS_MODES = ("categorical", "binary", "sparse", "input", None)


class Iterator(PyDataset):
    """Base: batches by number (`it[0]`, ...) and one after the other (`next(it)`, `for batch in it`) without end.

    Args:
        n: Number of samples.
        batch_size: Samples in a batch.
        shuffle: A new order for each pass.
        seed: Seeds NumPy's global generator before each batch, with the number of batches made so far added.

    There is no `__iter__`: `for` asks for batches 0, 1, 2, ..., and begins a pass of its own at any time.
    """

    def __init__(self, n, batch_size, shuffle, seed, **kwargs):
        super().__init__(**kwargs)
        self.n, self.batch_size, self.shuffle, self.seed = n, batch_size, bool(shuffle), seed
        self.batch_index = self.total_batches_seen = 0
        self.index_array = None
        self.lock = threading.Lock()

    def _set_index_array(self):
        self.index_array = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _begin_batch(self):
        if self.seed is not None:
            np.random.seed(self.seed + self.total_batches_seen)
        self.total_batches_seen += 1

    def __len__(self):
        return -(-self.n // self.batch_size)

    def __getitem__(self, idx):
        with self.lock:
            self._begin_batch()
            number = idx % len(self)
            if self.index_array is None or (idx >= len(self) and number == 0):
                self._set_index_array()
            rows = self.index_array[number * self.batch_size : (number + 1) * self.batch_size]
        return self._get_batches_of_transformed_samples(rows)

    def __next__(self):
        with self.lock:
            self._begin_batch()
            if self.batch_index == 0:
                self._set_index_array()
            start = self.batch_index * self.batch_size
            self.batch_index = self.batch_index + 1 if start + self.batch_size < self.n else 0
            rows = self.index_array[start : start + self.batch_size]
        return self._get_batches_of_transformed_samples(rows)

    def next(self):
        """Returns the next batch."""
        return self.__next__()

    def reset(self):
        """Lets `next` begin with the first batch."""
        self.batch_index = 0

    def on_epoch_end(self):
        self._set_index_array()

    def _get_batches_of_transformed_samples(self, index_array):
        """Returns the batch of these samples; what subclasses write."""
        raise TypeError(f"{type(self).__name__} has no _get_batches_of_transformed_samples(index_array).")


class _Images(Iterator):
    """Base of the three: images changed at random, normalized, and written out if that is wanted."""

    name_range = 10_000_000  # of the number in the names of files written out

    def _set_saving(self, save_to_dir, save_prefix, save_format):
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        if save_to_dir is not None:
            os.makedirs(save_to_dir, exist_ok=True)

    def _batch_of(self, rows, image, shape):
        """Returns the images of the samples `rows` [len(rows), *shape]."""
        generator, batch = self.image_data_generator, np.zeros((len(rows), *shape), self.dtype)
        for i, row in enumerate(rows):
            x = image(row)
            if generator is not None:
                x = generator.apply_transform(x, generator.get_random_transform(x.shape))
                x = generator.standardize(np.array(x, self.dtype))
            batch[i] = x
        if self.save_to_dir is not None:
            for x, row in zip(batch, rows, strict=True):
                name = f"{self.save_prefix}_{row}_{np.random.randint(self.name_range)}.{self.save_format}"
                array_to_img(x, self.data_format, scale=True).save(os.path.join(self.save_to_dir, name))
        return batch


class NumpyArrayIterator(_Images):
    """Batches of an array of images; see `ImageDataGenerator.flow`."""

    name_range = 10_000

    def __init__(
        self,
        x,
        y,
        image_data_generator,
        batch_size=32,
        shuffle=False,
        sample_weight=None,
        seed=None,
        data_format=None,
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        subset=None,
        ignore_class_split=False,
        dtype=None,
    ):
        self.data_format = dtypes.data_format(data_format)
        self.dtype = dtype or dtypes.floatx()
        others = []
        if isinstance(x, (tuple, list)):
            x, *others = x
            others = [np.asarray(a) for part in others for a in (part if isinstance(part, (list, tuple)) else [part])]
        x = np.asarray(x)
        y = None if y is None else np.asarray(y)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        for name, a in (("x", x), ("y", y), ("sample_weight", weight), *(("another input", a) for a in others)):
            if a is not None and len(a) != len(x):
                raise ValueError(f"flow: all arrays need as many rows as the images, {len(x)}; {name} has {len(a)}.")
        if subset is not None:
            rows = self._subset(subset, len(x), image_data_generator._validation_split, y, ignore_class_split)
            x, others = x[rows], [a[rows] for a in others]
            y, weight = (None if a is None else a[rows] for a in (y, weight))
        self.x = np.asarray(x, self.dtype)
        if self.x.ndim != 4:
            raise ValueError(f"flow: expected images [N, H, W, C], got an array of shape {self.x.shape}.")
        channels = self.x.shape[3 if self.data_format == "channels_last" else 1]
        if channels not in (1, 3, 4):
            warnings.warn(
                f"flow: expected images with 1, 3 or 4 channels ({self.data_format}), got an array of shape "
                f"{self.x.shape}.",
                stacklevel=3,
            )
        self.x_misc, self.y, self.sample_weight = others, y, weight
        self.image_data_generator = image_data_generator
        self._set_saving(save_to_dir, save_prefix, save_format)
        super().__init__(len(x), batch_size, shuffle, seed)

    @staticmethod
    def _subset(subset, n, split, y, ignore_class_split):
        """Returns which rows a part has; the validation's come first."""
        if subset not in ("training", "validation"):
            raise ValueError(f"flow: expected subset 'training' or 'validation', got {subset!r}.")
        at = int(n * split)
        if y is not None and not ignore_class_split and not np.array_equal(np.unique(y[:at]), np.unique(y[at:])):
            raise ValueError(
                "flow: the parts of validation_split hold different classes. Shuffle the rows first, or pass "
                "ignore_class_split=True where y is not a class."
            )
        return slice(0, at) if subset == "validation" else slice(at, None)

    def _get_batches_of_transformed_samples(self, index_array):
        batch = self._batch_of(index_array, lambda row: self.x[row], self.x.shape[1:])
        first = [batch, *(a[index_array] for a in self.x_misc)] if self.x_misc else batch
        parts = [a[index_array] for a in (self.y, self.sample_weight) if a is not None]
        return first if self.y is None else (first, *parts)


class _Files(_Images):
    """Base of the two that read files: `filepaths`, `_targets`, `class_mode` and `sample_weight` are set."""

    def _set_reading(
        self, generator, target_size, color_mode, data_format, dtype, interpolation, keep_aspect_ratio, subset
    ):
        self.image_data_generator = generator
        self.target_size, self.color_mode = tuple(target_size), color_mode
        if color_mode not in CHANNELS:
            raise ValueError(f"expected color_mode 'rgb', 'rgba' or 'grayscale', got {color_mode!r}.")
        self.data_format, self.dtype = dtypes.data_format(data_format), dtype or dtypes.floatx()
        channels = CHANNELS[color_mode]
        last = self.data_format == "channels_last"
        self.image_shape = (*self.target_size, channels) if last else (channels, *self.target_size)
        self.interpolation, self.keep_aspect_ratio, self.subset = interpolation, keep_aspect_ratio, subset
        split = generator._validation_split if generator is not None else 0
        if subset not in (None, "training", "validation"):
            raise ValueError(f"expected subset 'training' or 'validation', got {subset!r}.")
        self.split = {None: (0, 1), "validation": (0, split), "training": (split, 1)}[subset]

    def _part(self, files):
        start, stop = (int(share * len(files)) for share in self.split)
        return files[start:stop]

    def _read(self, row):
        img = load_img(
            self.filepaths[row],
            color_mode=self.color_mode,
            target_size=self.target_size,
            interpolation=self.interpolation,
            keep_aspect_ratio=self.keep_aspect_ratio,
        )
        return img_to_array(img, self.data_format)

    def _get_batches_of_transformed_samples(self, index_array):
        batch = self._batch_of(index_array, self._read, self.image_shape)
        targets = self._targets_of(index_array, batch)
        weight = getattr(self, "sample_weight", None)
        if targets is None:
            return batch
        return (batch, targets) if weight is None else (batch, targets, weight[index_array])

    def _targets_of(self, rows, batch):
        if self.class_mode == "input":
            return batch.copy()
        if self.class_mode in ("binary", "sparse"):
            return np.asarray([self.classes[row] for row in rows], self.dtype)
        if self.class_mode == "categorical":
            targets = np.zeros((len(rows), len(self.class_indices)), self.dtype)
            for i, row in enumerate(rows):
                targets[i, self.classes[row]] = 1.0  # one class, or a list of them
            return targets
        if self.class_mode == "multi_output":
            return [column[rows] for column in self._targets]
        return self._targets[rows] if self.class_mode == "raw" else None

    @property
    def labels(self):
        """The classes of the files, or the targets as they are in the table."""
        return self._targets if self.class_mode in ("multi_output", "raw") else self.classes


class DirectoryIterator(_Files):
    """Batches of the images in a folder; see `ImageDataGenerator.flow_from_directory`.

    Attributes:
        class_indices: {name of the folder: class}.
        filenames, filepaths, classes: Of every image, in order.
        samples, num_classes: Their numbers.
    """

    allowed_class_modes = {*CLASS_MODES}

    def __init__(
        self,
        directory,
        image_data_generator,
        target_size=(256, 256),
        color_mode="rgb",
        classes=None,
        class_mode="categorical",
        batch_size=32,
        shuffle=True,
        seed=None,
        data_format=None,
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        follow_links=False,
        subset=None,
        interpolation="nearest",
        keep_aspect_ratio=False,
        dtype=None,
    ):
        if class_mode not in CLASS_MODES:
            raise ValueError(f"flow_from_directory: expected class_mode as one of {CLASS_MODES}, got {class_mode!r}.")
        self._set_reading(
            image_data_generator, target_size, color_mode, data_format, dtype, interpolation, keep_aspect_ratio, subset
        )
        self._set_saving(save_to_dir, save_prefix, save_format)
        self.directory, self.class_mode = directory, class_mode
        folder = os.fspath(directory)
        if not os.path.isdir(folder):
            raise ValueError(f"flow_from_directory: there is no folder {folder!r} (current folder: {os.getcwd()!r}).")
        if not classes:
            classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        self.num_classes = len(classes)
        self.class_indices = {name: number for number, name in enumerate(classes)}
        self.filenames, numbers = [], []
        for number, name in enumerate(classes):
            found = self._part(_images_in(os.path.join(folder, name), follow_links))
            self.filenames += [os.path.join(name, file) for file in found]
            numbers += [number] * len(found)
        self.classes = np.array(numbers, np.int32)
        self.samples = len(self.filenames)
        self._filepaths = [os.path.join(folder, name) for name in self.filenames]
        say(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        super().__init__(self.samples, batch_size, shuffle, seed)

    @property
    def filepaths(self):
        """The paths of the images."""
        return self._filepaths


def _images_in(folder, follow_links):
    """Returns the images in a folder and those within it, relative to it, sorted by folder and name."""
    found = []
    for root, _, names in sorted(os.walk(folder, followlinks=follow_links), key=lambda walked: walked[0]):
        inner = os.path.relpath(root, folder)
        for name in sorted(names):
            if name.lower().endswith(FORMATS):
                if name.lower().endswith(".tiff"):
                    warnings.warn("Pillow reads some .tiff files wrongly: look at a few images.", stacklevel=5)
                found.append(os.path.normpath(os.path.join(inner, name)))
    return found


class DataFrameIterator(_Files):
    """Batches of the images that a table names; see `ImageDataGenerator.flow_from_dataframe`.

    Attributes: As of `DirectoryIterator`.
    """

    allowed_class_modes = {*CLASS_MODES, "multi_output", "raw"}

    def __init__(
        self,
        dataframe,
        directory=None,
        image_data_generator=None,
        x_col="filename",
        y_col="class",
        weight_col=None,
        target_size=(256, 256),
        color_mode="rgb",
        classes=None,
        class_mode="categorical",
        batch_size=32,
        shuffle=True,
        seed=None,
        data_format="channels_last",
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        subset=None,
        interpolation="nearest",
        keep_aspect_ratio=False,
        dtype="float32",
        validate_filenames=True,
    ):
        if class_mode not in self.allowed_class_modes:
            raise ValueError(
                f"flow_from_dataframe: expected class_mode as one of {(*CLASS_MODES, 'multi_output', 'raw')}, got "
                f"{class_mode!r}."
            )
        self._set_reading(
            image_data_generator, target_size, color_mode, data_format, dtype, interpolation, keep_aspect_ratio, subset
        )
        self._set_saving(save_to_dir, save_prefix, save_format)
        self.directory, self.class_mode = directory or "", class_mode
        names = _column(dataframe, x_col)
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"flow_from_dataframe: the column x_col={x_col!r} has to hold strings, names of files.")
        columns = [] if class_mode in ("input", None) else [y_col] if isinstance(y_col, str) else list(y_col)
        values = [_column(dataframe, name) for name in columns]
        weights = None if weight_col is None else np.asarray(_column(dataframe, weight_col), float)
        labelled = class_mode in ("categorical", "binary", "sparse")
        if class_mode == "multi_output" and isinstance(y_col, str):
            raise TypeError(f"flow_from_dataframe: class_mode='multi_output' needs a list of columns, got {y_col!r}.")
        if labelled:
            kinds = (str, list, tuple) if class_mode == "categorical" else str
            if len(columns) != 1 or not all(isinstance(label, kinds) for label in values[0]):
                raise TypeError(
                    f"flow_from_dataframe: class_mode={class_mode!r} needs a column y_col of strings; "
                    f"astype(str) makes them of numbers, and class_mode='raw' takes numbers."
                )
        kept = range(len(names))
        if validate_filenames:
            there = [i for i in kept if self._is_image(names[i])]
            if len(there) < len(names):
                warnings.warn(
                    f"flow_from_dataframe: {len(names) - len(there)} of {len(names)} files in the column {x_col!r} are "
                    f"not there, or no images, and are left out.",
                    stacklevel=3,
                )
            kept = there
        if labelled:
            kept, labels = _of_classes(kept, values[0], classes)
            if not classes:
                classes = sorted({name for label in labels.values() for name in (label if _many(label) else [label])})
            elif len(set(classes)) != len(classes):
                raise ValueError(f"flow_from_dataframe: classes names one twice: {list(classes)}.")
            if class_mode == "binary" and len(classes) != 2:
                raise ValueError(f"flow_from_dataframe: class_mode='binary' needs two classes, got {len(classes)}.")
            self.class_indices = {name: number for number, name in enumerate(classes)}
        kept = self._part(list(kept))
        if labelled:
            index = self.class_indices
            self.classes = [
                [index[n] for n in label if n in index] if _many(label) else index[label]
                for label in (labels[row] for row in kept)
            ]
        elif class_mode == "multi_output":
            self._targets = [np.array([column[row] for row in kept]) for column in values]
        elif class_mode == "raw":
            stacked = [np.array([column[row] for row in kept]) for column in values]
            self._targets = stacked[0] if isinstance(y_col, str) else np.stack(stacked, 1)
        self.sample_weight = None if weights is None else weights[kept]
        self.filenames = [names[row] for row in kept]
        self._filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        self.samples = len(self.filenames)
        found = f"Found {self.samples} {'' if validate_filenames else 'non-'}validated image filenames"
        say(f"{found} belonging to {len(self.class_indices)} classes." if labelled else f"{found}.")
        super().__init__(self.samples, batch_size, shuffle, seed)

    def _is_image(self, name):
        return name.lower().endswith(FORMATS) and os.path.isfile(os.path.join(self.directory, name))

    @property
    def filepaths(self):
        """The paths of the images."""
        return self._filepaths


def _column(table, name):
    try:
        column = table[name]
    except KeyError:
        raise ValueError(f"flow_from_dataframe: the table has no column {name!r}: {list(table)[:10]}.") from None
    return column.tolist() if hasattr(column, "tolist") else list(column)


def _many(label):
    return isinstance(label, (list, tuple))


def _of_classes(rows, labels, classes):
    """Returns the rows whose label is among `classes`, and {row: label}; of several labels those that are."""
    found = {}
    for row in rows:
        label = labels[row]
        if classes:
            label = [n for n in label if n in classes] if _many(label) else label if label in classes else None
        if label:
            found[row] = label
    return list(found), found
