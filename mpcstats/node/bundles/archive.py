"""Zip files of one form only: names, contents, and not a byte that could be otherwise.

Members are stored without compression, in order, with one date and no extras. So the bytes follow from the contents,
a reader can compare every one of them, and there are no links, no folders, no bombs and no hidden members.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping

from mpcstats.errors import BundleInvalid

__all__ = ["LARGEST", "compare_zip", "read_zip", "write_zip"]

LARGEST = (1 << 31) - 1
"""Bytes of a bundle."""

_MOST = 1000
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION = 20
_DATE = (1980 - 1980) << 9 | 1 << 5 | 1
_UNIX = 3 << 8
_MODE = 0o100644 << 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")


def write_zip(files: Mapping[str, bytes]) -> bytes:
    """The zip file with these members, in this order.

    Raises
    ------
    BundleInvalid
        A name is not relative and plain, there are too many members, or they are too large.
    """
    if len(files) > _MOST:
        raise BundleInvalid(f"{len(files)} files are too many for a bundle (most: {_MOST})")
    body, directory = bytearray(), bytearray()
    for name, content in files.items():
        _check_name(name)
        if len(body) + len(content) > LARGEST - (1 << 20):
            raise BundleInvalid(f"a bundle has at most {LARGEST >> 20} MiB", hint="leave out the largest table")
        raw, offset = name.encode("ascii"), len(body)
        fields = (_VERSION, 0, 0, 0, _DATE, zlib.crc32(content), len(content), len(content), len(raw), 0)
        body += _LOCAL.pack(b"PK\x03\x04", *fields) + raw + content
        directory += _CENTRAL.pack(b"PK\x01\x02", _UNIX | _VERSION, *fields, 0, 0, 0, _MODE, offset) + raw
    count = len(files)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + end)


def read_zip(data: bytes) -> dict[str, bytes]:
    """The members of a zip file of this form; `compare_zip` checks the rest of it.

    Raises
    ------
    BundleInvalid
        It cannot be read: a name that is none, a member twice, lengths that do not fit.
    """
    if len(data) > LARGEST:
        raise BundleInvalid(f"the file has {len(data):,} bytes, a bundle at most {LARGEST:,}")
    files: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] != b"PK\x01\x02" and len(files) <= _MOST:
        where = f"the header of member {len(files) + 1}"
        if at + _LOCAL.size > len(data):
            raise _broken(where, at)
        (magic, *_, size, name_size, _) = _LOCAL.unpack_from(data, at)
        start = at + _LOCAL.size + name_size
        if magic != b"PK\x03\x04" or start + size > len(data):
            raise _broken(where, at)
        name = data[at + _LOCAL.size : start].decode("ascii", "replace")
        _check_name(name)
        if name in files:
            raise BundleInvalid(f"{name}: is in the bundle twice")
        files[name] = data[start : start + size]
        at = start + size
    return files


def compare_zip(data: bytes, files: Mapping[str, bytes]) -> None:
    """Check every byte of a zip file: headers, directory and end follow from names and contents.

    Raises
    ------
    BundleInvalid
        Something is otherwise: names the member, and the place.
    """
    due = write_zip(files)
    if due == data:
        return
    at = next((place for place, (one, other) in enumerate(zip(due, data, strict=False)) if one != other), None)
    if at is None:
        raise BundleInvalid(f"the bundle's end: {abs(len(data) - len(due))} bytes are missing or too many")
    offset = 0
    for name, content in files.items():
        start = offset + _LOCAL.size + len(name)
        if at < start + len(content):
            # the checksum in the header follows from the content: one of the two was changed
            raise BundleInvalid(f"{name}: its header or content was changed (byte {at})")
        offset = start + len(content)
    for name in files:
        offset += _CENTRAL.size + len(name)
        if at < offset:
            raise BundleInvalid(f"{name}: its entry in the zip directory was changed (byte {at})")
    raise _broken("the end of the zip directory", at)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BundleInvalid(f"{name[:80]!r}: is no name for a file in a bundle")


def _broken(where: str, at: int) -> BundleInvalid:
    return BundleInvalid(f"{where}: was changed (byte {at})")
