"""LevelDB's tables as TensorFlow writes them: sorted keys with values, in blocks, each with its checksum.

    block, block, ..., (empty) meta block, index block {last key of a block: its place}, footer of 48 bytes

    block:  (shared, unshared, length of value: varints; rest of the key; value)..., restarts: uint32..., their number,
            then, after the block, its compression (1 byte: 0 none, 1 Snappy) and its checksum
    footer: (place, size) of the meta block and of the index as varints, zeros up to byte 40, 8 bytes of magic

Reference:
    https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

import struct

from fkeras.core.checksum import crc32c, masked
from fkeras.core.wire import read_varint, varint

_MAGIC = 0xDB4775248B80FB57
_BLOCK = 1 << 18  # bytes, as TensorFlow
_UNPACKED = 1 << 26  # bytes: an index larger than this names more arrays than any model has


# -------------------------------------------------------------------------------------------- writing


def write_table(pairs):
    """Returns the bytes of a table of these {key: value}, bytes both."""
    out, index = bytearray(), []
    entries, size = [], 0
    for key in sorted(pairs):
        entries.append((key, pairs[key]))
        size += len(key) + len(pairs[key])
        if size >= _BLOCK:
            index.append((key, _put_block(out, entries)))
            entries, size = [], 0
    if entries or not index:
        index.append((entries[-1][0] if entries else b"", _put_block(out, entries)))
    meta = _put_block(out, [])
    handles = meta + _put_block(out, index)
    return bytes(out) + handles.ljust(40, b"\0") + struct.pack("<Q", _MAGIC)


def _put_block(out, entries):
    """Appends a block in which every key is whole; returns its place as two varints."""
    block, restarts = bytearray(), []
    for key, value in entries:
        restarts.append(len(block))
        block += varint(0) + varint(len(key)) + varint(len(value)) + key + value
    restarts = restarts or [0]
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    handle = varint(len(out)) + varint(len(block))
    block += b"\0"
    out += block + struct.pack("<I", masked(crc32c(bytes(block))))
    return handle


# -------------------------------------------------------------------------------------------- reading


def read_table(data, where):
    """Returns {key: value} of a table.

    Raises:
        ValueError: It is damaged; the message names `where`.
    """
    if len(data) < 48 or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError(f"Cannot read {where}: it is not a table of TensorFlow's, or it was cut off.")
    footer = data[-48:-8]
    at = 0
    for _ in range(2):  # the meta block's place, which nobody needs, then the index's
        _, at = read_varint(footer, at, where)
        _, at = read_varint(footer, at, where)
    start = 0
    _, start = read_varint(footer, start, where)
    _, start = read_varint(footer, start, where)
    found = {}
    for _, handle in _entries(_block(data, footer[start:], where), where):
        for key, value in _entries(_block(data, handle, where), where):
            found[key] = value
    return found


def _block(data, handle, where):
    place, at = read_varint(handle, 0, where)
    size, _ = read_varint(handle, at, where)
    if place + size + 5 > len(data) - 48:
        raise ValueError(f"Cannot read {where}: it is damaged (a block ends beyond the file).")
    block, kind = data[place : place + size], data[place + size]
    (crc,) = struct.unpack("<I", data[place + size + 1 : place + size + 5])
    if crc != masked(crc32c(data[place : place + size + 1])):
        raise ValueError(f"Cannot read {where}: it is damaged (the checksum of the block at byte {place} is wrong).")
    if kind == 1:
        return unpack_snappy(block, where)
    if kind != 0:
        raise ValueError(f"Cannot read {where}: its block at byte {place} is compressed in an unknown way ({kind}).")
    return block


def _entries(block, where):
    """Yields (key, value) of a block."""
    (count,) = struct.unpack("<I", block[-4:]) if len(block) >= 4 else (0,)
    end = len(block) - 4 * (count + 1)
    at, key = 0, b""
    if end < 0:
        raise ValueError(f"Cannot read {where}: it is damaged (a block without an end).")
    while at < end:
        shared, at = read_varint(block, at, where)
        rest, at = read_varint(block, at, where)
        size, at = read_varint(block, at, where)
        if shared > len(key) or at + rest + size > end:
            raise ValueError(f"Cannot read {where}: it is damaged (an entry at byte {at} of a block does not fit).")
        key = key[:shared] + bytes(block[at : at + rest])
        yield key, bytes(block[at + rest : at + rest + size])
        at += rest + size


def unpack_snappy(data, where):
    """Returns what Snappy packed.

    Example:
        >>> unpack_snappy(bytes([6, 4]) + b"ab" + bytes([0b1, 2]), "an example")
        b'ababab'

    Reference:
        https://github.com/google/snappy/blob/main/format_description.txt
    """
    size, at = read_varint(data, 0, where)
    if size > _UNPACKED:
        raise ValueError(f"Cannot read {where}: a block claims {size} bytes.")
    out = bytearray()
    while at < len(data) and len(out) <= size:
        tag = data[at]
        kind, length, at = tag & 3, tag >> 2, at + 1
        if kind == 0:  # literal bytes
            more = max(length - 59, 0)
            if more:
                length = int.from_bytes(data[at : at + more], "little")
                at += more
            out += data[at : at + length + 1]
            at += length + 1
            continue
        if kind == 1:  # a copy of what lies `back` bytes behind
            length, more, high = (length & 7) + 4, 1, tag >> 5 << 8
        else:
            length, more, high = length + 1, (2, 4)[kind - 2], 0
        back = high | int.from_bytes(data[at : at + more], "little")
        at += more
        if not 0 < back <= len(out):
            break
        for _ in range(length):
            out.append(out[-back])
    if len(out) != size:
        raise ValueError(f"Cannot read {where}: it is damaged (a packed block does not unpack to its size).")
    return bytes(out)
