"""CRC-32C, as TensorFlow's files check their bytes with it: many lanes side by side in NumPy, then joined.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'

Reference:
    Castagnoli, Bräuer & Herrmann, "Optimization of Cyclic Redundancy-Check Codes", 1993; the joining of checksums as
    in zlib's crc32_combine.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # reflected
_LANE = 512  # bytes that are taken one after the other


@functools.cache
def _table():
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, crc >> 1 ^ np.uint32(_POLYNOMIAL), crc >> 1)
    return crc


def _step(crc, byte):
    return _table()[(crc ^ byte) & 0xFF] ^ crc >> 8


@functools.cache
def _behind(length):
    """Returns tables [4, 256]: what becomes of each byte of a checksum when `length` zero bytes follow."""
    crc = (np.arange(256, dtype=np.uint32)[None] << np.array([[0], [8], [16], [24]], np.uint32)).astype(np.uint32)
    if length == 1:
        return _step(crc, np.uint32(0))
    half = _shift(crc, length // 2)
    half = _shift(half, length // 2)
    return _step(half, np.uint32(0)) if length % 2 else half


def _shift(crc, length):
    t = _behind(length)
    return t[0][crc & 0xFF] ^ t[1][crc >> 8 & 0xFF] ^ t[2][crc >> 16 & 0xFF] ^ t[3][crc >> 24]


def crc32c(data, crc=0):
    """Returns the checksum of bytes that follow those whose checksum is `crc`."""
    data = np.frombuffer(data, np.uint8)
    crc = np.uint32(crc) ^ np.uint32(0xFFFFFFFF)
    lanes = 1 << max((len(data) // _LANE).bit_length() - 1, 0)
    while lanes > 1 and len(data) >= lanes * _LANE:
        block, data = data[: lanes * _LANE], data[lanes * _LANE :]
        crcs = np.zeros(lanes, np.uint32)
        crcs[0] = crc
        for column in np.ascontiguousarray(block.reshape(lanes, _LANE).T):
            crcs = _step(crcs, column)
        length = _LANE
        while len(crcs) > 1:
            crcs, length = _shift(crcs[::2], length) ^ crcs[1::2], length * 2
        crc = crcs[0]
        lanes = 1 << max((len(data) // _LANE).bit_length() - 1, 0)
    table, crc = _table().tolist(), int(crc)
    for byte in data.tobytes():
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(crc):
    """Returns the checksum as files hold it: one that is itself checked by a checksum would else be weak."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
