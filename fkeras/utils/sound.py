"""WAV files as arrays, and sampling rates changed."""

import os
import struct

import numpy as np

from fkeras.utils.resample import along

FORMATS = (".wav",)
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


def read_wav(path):
    """Reads a WAV file of PCM integers (8, 16, 24, 32 bits) or floats (32, 64 bits).

    Returns:
        (float32 [T, channels] with values in [-1, 1], samples per second).

    Raises:
        ValueError: Another format or a damaged file; the message names it.
    """
    with open(path, "rb") as file:
        data = file.read()
    name, kind = os.fspath(path), None
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"Cannot read {name!r}: it is no WAV file.")
    at = 12
    while at + 8 <= len(data):
        chunk, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        body = data[at + 8 : at + 8 + size]
        if chunk == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, width, bits = struct.unpack("<HHIIHH", body[:16])
            if kind == _EXTENSIBLE and len(body) >= 26:
                kind = struct.unpack("<H", body[24:26])[0]
        if chunk == b"data" and kind is not None:
            if not channels or not width:
                break
            body = body[: len(body) // width * width]  # whole samples, should the file have been cut off
            return _samples(body, kind, bits, name).reshape(-1, channels), rate
        at += 8 + size + size % 2
    raise ValueError(f"Cannot read {name!r}: the WAV file is damaged, it lacks its format or its samples.")


def _samples(body, kind, bits, name):
    if kind == _PCM and bits == 8:
        return (np.frombuffer(body, np.uint8).astype(np.float32) - 128) / 128
    if kind == _PCM and bits == 24:
        triples = np.frombuffer(body, np.uint8).reshape(-1, 3)
        words = np.zeros((len(triples), 4), np.uint8)
        words[:, 1:] = triples
        return (words.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    if kind == _PCM and bits in (16, 32):
        return (np.frombuffer(body, f"<i{bits // 8}") / 2.0 ** (bits - 1)).astype(np.float32)
    if kind == _FLOAT and bits in (32, 64):
        return np.frombuffer(body, f"<f{bits // 8}").astype(np.float32)
    raise ValueError(f"Cannot read {name!r}: WAV with {bits} bits of format {kind}; PCM and floats can be read.")


def change_rate(audio, rate, wanted):
    """Returns audio [T, C] with `wanted` samples per second, filtered so that nothing is folded down."""
    if rate == wanted or not len(audio):
        return audio
    return along(audio, 0, max(round(len(audio) * wanted / rate), 1), "lanczos5", antialias=True)
