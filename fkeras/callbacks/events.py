"""TensorBoard's event files, written without TensorFlow: records with checksums, each a protocol buffer.

record = length (uint64) | masked CRC-32C of it | bytes | masked CRC-32C of them
"""

import os
import socket
import struct
import time
import zlib

import numpy as np

from fkeras.core.checksum import crc32c, masked
from fkeras.core.tensors import TENSOR, number_of, shape_message
from fkeras.core.wire import Message

_WAITING = 1 << 20  # bytes of events that wait to be written

_PLUGIN = Message("PluginData", plugin_name=(1, str), content=(2, bytes))
_METADATA = Message("SummaryMetadata", plugin_data=(1, _PLUGIN))
_VALUE = Message("Value", tag=(1, str), tensor=(8, TENSOR), metadata=(9, _METADATA))
EVENT = Message(
    "Event",
    wall_time=(1, "double"),
    step=(2, int),
    file_version=(3, str),
    summary=(5, Message("Summary", value=(1, [_VALUE]))),
)

# What the plugin "hparams" keeps in a summary's metadata
_ANY = Message("Value", number_value=(2, "double"), string_value=(3, str), bool_value=(4, bool))
_START = Message("SessionStartInfo", hparams=(1, {str: _ANY}), group_name=(4, str), start_time_secs=(5, "double"))
_END = Message("SessionEndInfo", status=(1, int), end_time_secs=(2, "double"))
HPARAMS = Message("HParamsPluginData", version=(1, int), session_start_info=(3, _START), session_end_info=(4, _END))


def record(data):
    """Returns the bytes of one record.

    Example:
        >>> len(record(b"abc"))
        19
    """
    length = struct.pack("<Q", len(data))
    checks = (struct.pack("<I", masked(crc32c(part))) for part in (length, data))
    return length + next(checks) + data + next(checks)


def histogram(values, buckets=30):
    """Returns what TensorBoard draws of numbers: rows (left edge, right edge, count), float64 [buckets, 3].

    The buckets between the least and the greatest are equally wide. Where all are equal the last bucket has them.
    NaN and infinite numbers are left out; without any number there are no rows.

    Example:
        >>> histogram([0.0, 1.0, 1.0, 4.0], buckets=2).tolist()
        [[0.0, 2.0, 3.0], [2.0, 4.0, 1.0]]
    """
    values = np.asarray(values, np.float64).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return np.zeros((0, 3))
    least, most = values.min(), values.max()
    if least == most:
        counts = np.zeros(buckets)
        counts[-1] = len(values)
        return np.stack([np.full(buckets, least), np.full(buckets, most), counts], 1)
    places = np.minimum((values - least) / ((most - least) / buckets), buckets - 1).astype(np.int64)
    edges = np.linspace(least, most, buckets + 1)
    return np.stack([edges[:-1], edges[1:], np.bincount(places, minlength=buckets)], 1)


def png(image):
    """Returns the bytes of a PNG file of an image, uint8 [H, W, C] of 1, 3 or 4 channels."""
    height, width, channels = image.shape
    color = {1: 0, 3: 2, 4: 6}[channels]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], 1)  # 0: no filter

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


class EventFile:
    """An event file in a folder, made by the first `flush` after an event; complete records after each.

    Args:
        folder: Where. Made if it is missing.
        name, size: A file that was written before and how many of its bytes stay; by default a new one.
    """

    count = 0  # of this process: two files of the same second have other names

    def __init__(self, folder, name=None, size=0):
        if name is not None and not os.path.exists(os.path.join(folder, name)):
            name = None
        self.folder, self.name, self.size = folder, name, size if name else 0
        self._waiting = bytearray()
        if self.name is None:
            self.name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{self.count}.v2"
            EventFile.count += 1
            self._put({"wall_time": time.time(), "file_version": "brain.Event:2"})

    def _put(self, event):
        self._waiting += record(EVENT.encode(event))
        if len(self._waiting) > _WAITING:
            self.flush()

    def write(self, step, tag, plugin, array, content=b""):
        """Writes an array (a number, or bytes in an array of objects) under a tag, for a plugin of TensorBoard."""
        array = np.asarray(array)
        text = array.dtype == object
        tensor = {"dtype": number_of("string" if text else array.dtype), "tensor_shape": shape_message(array.shape)}
        tensor |= {"string_val": array.ravel().tolist()} if text else {"tensor_content": array.tobytes()}
        metadata = {"plugin_data": {"plugin_name": plugin, "content": content}}
        value = {"tag": tag, "tensor": tensor, "metadata": metadata}
        self._put({"wall_time": time.time(), "step": int(step), "summary": {"value": [value]}})

    def scalar(self, step, tag, value):
        """Writes a number."""
        self.write(step, tag, "scalars", np.float32(value))

    def histogram(self, step, tag, values):
        """Writes how numbers are distributed."""
        self.write(step, tag, "histograms", histogram(values))

    def images(self, step, tag, images):
        """Writes images, uint8 [N, H, W, C]."""
        sizes = [str(n).encode() for n in images.shape[2:0:-1]]
        self.write(step, tag, "images", np.array([*sizes, *map(png, images)], object))

    def flush(self):
        """Writes what waits; cuts off before it what a killed process wrote after its checkpoint."""
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, self.name), "ab") as file:
            file.truncate(self.size)
            file.write(self._waiting)
        self.size += len(self._waiting)
        self._waiting.clear()

    def remove(self):
        """Deletes the file, as if nothing had been written."""
        if os.path.exists(path := os.path.join(self.folder, self.name)):
            os.remove(path)
