"""Protocol buffers on the wire, for messages that are declared here and nothing else.

A message is a dict of the fields that are present:

    >>> POINT = Message("Point", x=(1, int), tags=(2, [str]), around=(3, {str: int}))
    >>> POINT.decode(POINT.encode({"x": 3, "tags": ["a"], "around": {"b": -1}}))
    {'x': 3, 'tags': ['a'], 'around': {'b': -1}}

Kinds of fields: int, "sint" (zigzag), bool, float, "double", "fixed32", str, bytes, a Message; [kind] is repeated and
{kind: kind} a map. Fields that are not declared are skipped when read.

Reference:
    https://protobuf.dev/programming-guides/encoding/
"""

import struct

DEPTH = 60  # messages within messages
COUNT = 2_000_000  # values in one file: each takes a hundred times its bytes in memory

_FIXED = {float: (5, "<f"), "double": (1, "<d"), "fixed32": (5, "<I")}


class Message:
    """A kind of message: its name and its fields, {name: (number, kind)}."""

    def __init__(self, name, /, **fields):
        self.name, self.fields, self._numbers = name, {}, {}
        self.declare(**fields)

    def declare(self, **fields):
        """Adds fields; a message may hold itself."""
        self.fields |= fields
        self._numbers |= {number: (name, kind) for name, (number, kind) in fields.items()}

    def encode(self, values):
        """Returns the bytes of a message; maps are written in the order of their keys.

        Raises:
            KeyError: A field is not declared.
        """
        out = bytearray()
        for name, value in values.items():
            number, kind = self.fields[name]
            if isinstance(kind, dict):
                ((key_kind, value_kind),) = kind.items()
                pair = Message(f"{self.name}.{name}", key=(1, key_kind), value=(2, value_kind))
                for key in sorted(value):
                    _put(out, number, pair, {"key": key, "value": value[key]})
            elif isinstance(kind, list) and kind[0] in (int, bool):  # packed
                _put(out, number, bytes, b"".join(varint(int(v)) for v in value)) if value else None
            elif isinstance(kind, list):
                for one in value:
                    _put(out, number, kind[0], one)
            else:
                _put(out, number, kind, value)
        return bytes(out)

    def decode(self, data, where="a message"):
        """Returns the dict that `encode` wrote.

        Raises:
            ValueError: The bytes are not such a message; the error names `where`.
        """
        return _Reader(where).message(self, memoryview(data), 0)


def varint(value):
    """Returns a number as a varint; negative ones in two's complement of 64 bits."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data, at, where):
    """Returns (number, place after it)."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError(f"Cannot read {where}: it is damaged (a number without an end at byte {at}).")


def _put(out, number, kind, value):
    if kind in _FIXED:
        wire, form = _FIXED[kind]
        out += varint(number << 3 | wire) + struct.pack(form, value)
    elif kind in (int, bool, "sint"):
        value = int(value)
        out += varint(number << 3) + varint(value << 1 ^ value >> 63 if kind == "sint" else value)
    else:
        data = value.encode() if kind is str else kind.encode(value) if isinstance(kind, Message) else bytes(value)
        out += varint(number << 3 | 2) + varint(len(data))
        out += data


class _Reader:
    """Decodes one file; counts what it decodes."""

    def __init__(self, where):
        self.where, self.count = where, 0

    def refuse(self, why):
        raise ValueError(f"Cannot read {self.where}: it is damaged ({why}).")

    def message(self, kind, data, depth):
        if depth > DEPTH:
            self.refuse(f"messages nest deeper than {DEPTH}")
        values, at = {}, 0
        while at < len(data):
            tag, at = read_varint(data, at, self.where)
            number, wire = tag >> 3, tag & 7
            raw, at = self.raw(wire, data, at)
            name, field = kind._numbers.get(number, (None, None))
            if name is None:
                continue
            self.count += 1
            if self.count > COUNT:
                raise ValueError(f"Cannot read {self.where}: it claims more than {COUNT} values.")
            if isinstance(field, dict):
                ((key_kind, value_kind),) = field.items()
                pair = self.message(Message(name, key=(1, key_kind), value=(2, value_kind)), self.bytes(raw), depth + 1)
                missing = {} if isinstance(value_kind, Message) else value_kind()
                values.setdefault(name, {})[pair.get("key", key_kind())] = pair.get("value", missing)
            elif isinstance(field, list):
                found = values.setdefault(name, [])
                if field[0] in (int, bool) and wire == 2:
                    place = 0
                    while place < len(raw):
                        number, place = read_varint(raw, place, self.where)
                        found.append(self.value(field[0], number, depth))
                        self.count += 1
                        if self.count > COUNT:
                            raise ValueError(f"Cannot read {self.where}: it claims more than {COUNT} values.")
                else:
                    found.append(self.value(field[0], raw, depth))
            else:
                values[name] = self.value(field, raw, depth)
        return values

    def raw(self, wire, data, at):
        if wire == 0:
            return read_varint(data, at, self.where)
        size = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            size, at = read_varint(data, at, self.where)
        if size is None or at + size > len(data):
            self.refuse(f"a field at byte {at} ends beyond its message" if size is not None else f"wire type {wire}")
        return data[at : at + size], at + size

    def bytes(self, raw):
        return raw if isinstance(raw, memoryview) else self.refuse("a number where bytes are expected")

    def value(self, kind, raw, depth):
        if kind in (int, bool, "sint"):
            if isinstance(raw, memoryview):
                self.refuse("bytes where a number is expected")
            if kind == "sint":
                return raw >> 1 ^ -(raw & 1)
            return bool(raw) if kind is bool else raw - (1 << 64 if raw >> 63 else 0)
        raw = self.bytes(raw)
        if kind in _FIXED:
            form = _FIXED[kind][1]
            return (
                struct.unpack(form, raw)[0] if len(raw) == struct.calcsize(form) else self.refuse("a number's length")
            )
        if isinstance(kind, Message):
            return self.message(kind, raw, depth + 1)
        if kind is bytes:
            return bytes(raw)
        try:
            return str(raw, "utf8")
        except UnicodeDecodeError as err:
            self.refuse(f"not text: {err}")
