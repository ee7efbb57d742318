"""`ImageDataGenerator`, Keras 2's way to augment images while they are read: on the host, image by image."""

import functools
import warnings

import numpy as np

from fkeras.core import dtypes
from fkeras.core.settings import named_arguments
from fkeras.preprocessing import augmentation
from fkeras.preprocessing.affine import FILL_MODES
from fkeras.preprocessing.iterators import DataFrameIterator, DirectoryIterator, NumpyArrayIterator

SMALL = 1e-6  # beside standard deviations that are divided by


class ImageDataGenerator:
    """Batches of images that are changed at random and normalized, as Keras 2 makes them.

    New programs put the layers RandomFlip, RandomRotation, ... into the model: those run compiled.

    Args:
        featurewise_center, featurewise_std_normalization: Subtract the mean of the data, divide by their standard
            deviation, per channel; both are found by `fit`.
        samplewise_center, samplewise_std_normalization: The same with the mean and deviation of each image.
        zca_whitening, zca_epsilon: Multiply by the matrix found by `fit` that makes pixels uncorrelated.
        rotation_range: Degrees to either side.
        width_shift_range, height_shift_range: Part of the size if below 1; an int: pixels; a list: these numbers of
            pixels to either side.
        brightness_range: (low, high) factors.
        shear_range: Degrees.
        zoom_range: (low, high) factors, or z for (1 - z, 1 + z).
        channel_shift_range: Greatest number added to all pixels.
        fill_mode, cval: What lies beyond the border: "nearest", "constant" (`cval`), "reflect" or "wrap".
        horizontal_flip, vertical_flip: Whether half of the images are flipped.
        rescale: Factor, applied before the normalization.
        preprocessing_function: Function of an image [H, W, C] that returns one of that shape; called first of all
            normalization, after the random changes.
        data_format: "channels_last" or "channels_first"; by default `config.image_data_format()`.
        validation_split: Share of the images that `subset="validation"` gives.
        interpolation_order: Of the spline between pixels, 0 to 5.
        dtype: Of the batches, by default `config.floatx()`.

    Random numbers come from NumPy's global generator in Keras's order: a seed gives Keras's pictures.

    Example:
        >>> images = np.arange(32.0).reshape(2, 4, 4, 1)
        >>> flow = ImageDataGenerator(rescale=1 / 2).flow(images, [0, 1], batch_size=2, shuffle=False)
        >>> x, y = next(flow)
        >>> x.shape, x[1, 0, 0].item(), len(flow)
        ((2, 4, 4, 1), 8.0, 1)

    Reference:
        As the legacy class of Keras 3.
    """

    @functools.partial(named_arguments, what="ImageDataGenerator")
    def __init__(
        self,
        featurewise_center=False,
        samplewise_center=False,
        featurewise_std_normalization=False,
        samplewise_std_normalization=False,
        zca_whitening=False,
        zca_epsilon=1e-6,
        rotation_range=0,
        width_shift_range=0.0,
        height_shift_range=0.0,
        brightness_range=None,
        shear_range=0.0,
        zoom_range=0.0,
        channel_shift_range=0.0,
        fill_mode="nearest",
        cval=0.0,
        horizontal_flip=False,
        vertical_flip=False,
        rescale=None,
        preprocessing_function=None,
        data_format=None,
        validation_split=0.0,
        interpolation_order=1,
        dtype=None,
    ):
        self.data_format = dtypes.data_format(data_format)
        self.channel_axis, self.row_axis, self.col_axis = (
            (3, 1, 2) if self.data_format == "channels_last" else (1, 2, 3)
        )
        self.dtype = dtype or dtypes.floatx()
        if fill_mode not in FILL_MODES:
            raise ValueError(f"ImageDataGenerator: expected fill_mode as one of {FILL_MODES}, got {fill_mode!r}.")
        if validation_split and not 0 < validation_split < 1:
            raise ValueError(f"ImageDataGenerator: expected validation_split in (0, 1), got {validation_split!r}.")
        if brightness_range is not None and len(brightness_range) != 2:
            raise ValueError(f"ImageDataGenerator: expected brightness_range (low, high), got {brightness_range!r}.")
        if isinstance(zoom_range, (int, float)):
            zoom_range = (1 - zoom_range, 1 + zoom_range)
        if len(zoom_range) != 2:
            raise ValueError(f"ImageDataGenerator: expected zoom_range as a number or (low, high), got {zoom_range!r}.")
        self.zoom_range = list(zoom_range)
        self.featurewise_center, self.samplewise_center = featurewise_center, samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.brightness_range, self.channel_shift_range = brightness_range, channel_shift_range
        self.fill_mode, self.cval, self.interpolation_order = fill_mode, cval, interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self._validation_split = validation_split
        self.mean = self.std = self.zca_whitening_matrix = None
        self._imply("zca_whitening", "featurewise_center")
        self._imply("featurewise_std_normalization", "featurewise_center")
        self._imply("samplewise_std_normalization", "samplewise_center")
        if self.zca_whitening and self.featurewise_std_normalization:
            warnings.warn(
                "ImageDataGenerator: zca_whitening takes the place of featurewise_std_normalization.", stacklevel=2
            )
            self.featurewise_std_normalization = False

    def _imply(self, setting, implied):
        if getattr(self, setting) and not getattr(self, implied):
            warnings.warn(f"ImageDataGenerator: {setting}=True needs {implied}=True, which is set.", stacklevel=3)
            setattr(self, implied, True)

    # -------------------------------------------------------------------------------------- batches

    def flow(
        self,
        x,
        y=None,
        batch_size=32,
        shuffle=True,
        sample_weight=None,
        seed=None,
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        ignore_class_split=False,
        subset=None,
    ):
        """Returns an iterator of batches of an array, which begins again without end: x, (x, y) or (x, y, weight).

        Args:
            x: Images [N, H, W, C], or (images, other inputs).
            y: Targets [N, ...].
            batch_size: Images in a batch.
            shuffle: A new order for each pass.
            sample_weight: Weights [N].
            seed: Of order and changes.
            save_to_dir, save_prefix, save_format: Where the images are also written to, to be looked at.
            ignore_class_split: Whether parts may have different numbers of classes.
            subset: "training" or "validation", with `validation_split`.
        """
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            ignore_class_split=ignore_class_split,
            subset=subset,
            dtype=self.dtype,
        )

    def flow_from_directory(
        self,
        directory,
        target_size=(256, 256),
        color_mode="rgb",
        classes=None,
        class_mode="categorical",
        batch_size=32,
        shuffle=True,
        seed=None,
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        follow_links=False,
        subset=None,
        interpolation="nearest",
        keep_aspect_ratio=False,
    ):
        """Returns an iterator of batches of the images in a folder that has a folder for each class.

        Args:
            directory: The folder.
            target_size: (height, width) that every image is resized to.
            color_mode: "rgb", "rgba" or "grayscale".
            classes: Names of the folders, in the order of the classes; alphabetical by default.
            class_mode: "categorical" (one-hot), "binary", "sparse" (numbers), "input" (the images themselves), or None.
            interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
            keep_aspect_ratio: Crop the middle to the form of `target_size` first.
            batch_size, shuffle, seed, save_to_dir, save_prefix, save_format, subset: As in `flow`.
            follow_links: Whether links to folders are followed.
        """
        return DirectoryIterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            data_format=self.data_format,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
        )

    def flow_from_dataframe(
        self,
        dataframe,
        directory=None,
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
        save_to_dir=None,
        save_prefix="",
        save_format="png",
        subset=None,
        interpolation="nearest",
        validate_filenames=True,
        keep_aspect_ratio=False,
    ):
        """Returns an iterator of batches of the images that a table names.

        Args:
            dataframe: Table with a column of file names, and one or more of targets.
            directory: Folder that the names are relative to; None: they are whole paths.
            x_col, y_col, weight_col: Names of the columns; `y_col` may be a list.
            class_mode: As in `flow_from_directory`, or "raw" (as it is in the table), or "multi_output" (many columns).
            validate_filenames: Leave out files that are not there.
            target_size, color_mode, classes, batch_size, shuffle, seed, save_to_dir, save_prefix, save_format, subset,
                interpolation, keep_aspect_ratio: As in `flow_from_directory`.
        """
        return DataFrameIterator(
            dataframe,
            directory,
            self,
            x_col=x_col,
            y_col=y_col,
            weight_col=weight_col,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            data_format=self.data_format,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            validate_filenames=validate_filenames,
            dtype=self.dtype,
        )

    # ------------------------------------------------------------------------------------ one image

    def standardize(self, x):
        """Normalizes an image (or a batch), in place where it is an array of floats, and returns it."""
        if self.preprocessing_function:
            x = self.preprocessing_function(x)
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + SMALL
        if self.featurewise_center and self._fitted(self.mean):
            x -= self.mean
        if self.featurewise_std_normalization and self._fitted(self.std):
            x /= self.std + SMALL
        if self.zca_whitening and self._fitted(self.zca_whitening_matrix):
            flat = x.reshape(-1, np.prod(x.shape[-3:]))
            x = (flat @ self.zca_whitening_matrix).reshape(x.shape)
        return x

    def _fitted(self, found):
        if found is None:
            warnings.warn(
                "ImageDataGenerator: featurewise settings do nothing before fit(x) has found the mean of the data.",
                stacklevel=4,
            )
        return found is not None

    def get_random_transform(self, img_shape, seed=None):
        """Returns a dict of random settings for `apply_transform`."""
        if seed is not None:
            np.random.seed(seed)
        rows, cols = img_shape[self.row_axis - 1], img_shape[self.col_axis - 1]
        theta = np.random.uniform(-self.rotation_range, self.rotation_range) if self.rotation_range else 0
        tx = _shift(self.height_shift_range, rows)
        ty = _shift(self.width_shift_range, cols)
        shear = np.random.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0
        zx, zy = (1, 1) if self.zoom_range == [1, 1] else np.random.uniform(*self.zoom_range, 2)
        flips = [np.random.random() < 0.5 for _ in range(2)]  # drawn whether they are wanted or not
        shift, brightness = None, None
        if self.channel_shift_range != 0:
            shift = np.random.uniform(-self.channel_shift_range, self.channel_shift_range)
        if self.brightness_range is not None:
            brightness = np.random.uniform(*self.brightness_range)
        return {
            "theta": theta,
            "tx": tx,
            "ty": ty,
            "shear": shear,
            "zx": zx,
            "zy": zy,
            "flip_horizontal": flips[0] * self.horizontal_flip,
            "flip_vertical": flips[1] * self.vertical_flip,
            "channel_shift_intensity": shift,
            "brightness": brightness,
        }

    def apply_transform(self, x, transform_parameters):
        """Returns an image changed as the dict says: theta, tx, ty, shear, zx, zy, flips, channel shift, brightness."""
        row, col, channel = self.row_axis - 1, self.col_axis - 1, self.channel_axis - 1
        get = transform_parameters.get
        x = augmentation.apply_affine_transform(
            x,
            get("theta", 0),
            get("tx", 0),
            get("ty", 0),
            get("shear", 0),
            get("zx", 1),
            get("zy", 1),
            row_axis=row,
            col_axis=col,
            channel_axis=channel,
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
        )
        if get("channel_shift_intensity") is not None:
            x = augmentation.apply_channel_shift(x, get("channel_shift_intensity"), channel)
        if get("flip_horizontal", False):
            x = np.flip(x, col)
        if get("flip_vertical", False):
            x = np.flip(x, row)
        if get("brightness") is not None:
            x = augmentation.apply_brightness_shift(x, get("brightness"), False)
        return x

    def random_transform(self, x, seed=None):
        """Returns an image changed at random."""
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    def fit(self, x, augment=False, rounds=1, seed=None):
        """Finds the mean, the deviation and the whitening matrix that the featurewise settings need.

        Args:
            x: Images [N, H, W, C].
            augment: Find them of images changed at random.
            rounds: How many changed ones of each image.
            seed: Of the changes.
        """
        x = np.array(x, self.dtype)
        if x.ndim != 4:
            raise ValueError(f"ImageDataGenerator.fit: expected images [N, H, W, C], got an array of shape {x.shape}.")
        if x.shape[self.channel_axis] not in (1, 3, 4):
            warnings.warn(
                f"ImageDataGenerator.fit: expected 1, 3 or 4 channels on axis {self.channel_axis} "
                f"({self.data_format}), got an array of shape {x.shape}.",
                stacklevel=2,
            )
        if seed is not None:
            np.random.seed(seed)
        if self.rescale:
            x *= self.rescale
        if augment:
            x = np.stack([self.random_transform(image) for _ in range(rounds) for image in x]).astype(self.dtype)
        over = (0, self.row_axis, self.col_axis)
        if self.featurewise_center:
            mean = np.mean(x, over, keepdims=True)
            self.mean = mean[0]
            x -= mean
        if self.featurewise_std_normalization:
            std = np.std(x, over, keepdims=True)
            self.std = std[0]
            x /= std + SMALL
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            u, s, _ = np.linalg.svd(flat.T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(x)) / (s + self.zca_epsilon))) @ u.T


def _shift(wanted, size):
    """Draws a shift in pixels: of a list one of its numbers, to either side; else from [-wanted, wanted]."""
    if not np.any(wanted):
        return 0
    try:  # a list, or an int n: one of 0, ..., n - 1
        shift = np.random.choice(wanted) * np.random.choice([-1, 1])
    except ValueError:  # a float
        shift = np.random.uniform(-wanted, wanted)
    return shift * size if np.max(wanted) < 1 else shift
