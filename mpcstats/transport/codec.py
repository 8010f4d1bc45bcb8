"""Frames to bytes and back, with one copy of the payload: protobuf's wire format, written by hand for chunks.

A chunk is what nearly all bytes travel in. Building the message in Python objects would copy its payload three times
on the way out and once more on the way in. The bytes are those that the generated code writes (a test compares them),
so protos/mpcstats/v1/transport.proto stays the specification.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from mpcstats.wire.transport_pb2 import Frame

__all__ = ["ChunkFrame", "decode", "encode", "encode_chunk"]

# keys of the fields: (number << 3) | wire type
_SESSION, _EPOCH, _CHUNK = b"\x0a", b"\x10", b"\x22"
_STEP, _OFFSET, _TOTAL, _PAYLOAD = b"\x08", b"\x10", b"\x18", b"\x22"


@dataclass(frozen=True)
class ChunkFrame:
    """A frame that carries a piece of a message; `payload` is a view of the received bytes."""

    session_id: bytes
    epoch: int
    step: int
    offset: int
    total: int
    payload: memoryview


def encode_chunk(session_id: bytes, epoch: int, step: int, offset: int, total: int, payload: memoryview) -> bytes:
    """The bytes of a chunk frame. Copies the payload once."""
    inner = b"".join(
        key + _varint(value) for key, value in ((_STEP, step), (_OFFSET, offset), (_TOTAL, total)) if value
    )
    if len(payload):
        inner += _PAYLOAD + _varint(len(payload))
    header = _SESSION + _varint(len(session_id)) + session_id
    if epoch:
        header += _EPOCH + _varint(epoch)
    return b"".join((header, _CHUNK, _varint(len(inner) + len(payload)), inner, payload))


def encode(frame: Frame | bytes) -> bytes:
    """gRPC's serializer: chunks come as bytes already, all other frames as messages."""
    return frame if isinstance(frame, bytes) else frame.SerializeToString()


def decode(data: bytes) -> ChunkFrame | Frame:
    """gRPC's deserializer: a chunk written as `encode_chunk` does is viewed in place, all else is parsed.

    What cannot be parsed is an empty frame, which belongs to no session and is refused as such. gRPC would make nothing
    of an error here, and whoever reads the stream would not learn of it.
    """
    try:
        return _view_chunk(data) or Frame.FromString(data)
    except DecodeError:
        return Frame()


def _view_chunk(data: bytes) -> ChunkFrame | None:  # noqa: PLR0911 - a parser leaves where it fails
    """The chunk in `data`, or None when the bytes are anything but the canonical form."""
    try:
        if data[0:1] != _SESSION:
            return None
        length, at = _read_varint(data, 1)
        session_id, at = data[at : at + length], at + length
        epoch = 0
        if data[at : at + 1] == _EPOCH:
            epoch, at = _read_varint(data, at + 1)
        if data[at : at + 1] != _CHUNK:
            return None
        inner, at = _read_varint(data, at + 1)
        if at + inner != len(data):
            return None
        fields = [0, 0, 0]
        for place, key in enumerate((_STEP, _OFFSET, _TOTAL)):
            if data[at : at + 1] == key:
                fields[place], at = _read_varint(data, at + 1)
        if at < len(data):
            if data[at : at + 1] != _PAYLOAD:
                return None
            length, at = _read_varint(data, at + 1)
            if at + length != len(data):
                return None
    except IndexError:
        return None
    return ChunkFrame(session_id, epoch, fields[0], fields[1], fields[2], memoryview(data)[at:])


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError
