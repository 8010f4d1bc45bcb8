# Generated from protos/mpcstats/v1/audit.proto by scripts/proto. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class WitnessRequest(_message.Message):
    __slots__ = ("checkpoint", "proof_from", "proof", "seen")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FROM_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    checkpoint: bytes
    proof_from: int
    proof: _containers.RepeatedScalarFieldContainer[bytes]
    seen: int
    def __init__(self, checkpoint: _Optional[bytes] = ..., proof_from: _Optional[int] = ..., proof: _Optional[_Iterable[bytes]] = ..., seen: _Optional[int] = ...) -> None: ...

class WitnessReply(_message.Message):
    __slots__ = ("cosignature", "known", "checkpoint", "proof")
    COSIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    cosignature: bytes
    known: bytes
    checkpoint: bytes
    proof: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, cosignature: _Optional[bytes] = ..., known: _Optional[bytes] = ..., checkpoint: _Optional[bytes] = ..., proof: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("start",)
    START_FIELD_NUMBER: _ClassVar[int]
    start: int
    def __init__(self, start: _Optional[int] = ...) -> None: ...

class ReadReply(_message.Message):
    __slots__ = ("records", "checkpoint")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    records: bytes
    checkpoint: bytes
    def __init__(self, records: _Optional[bytes] = ..., checkpoint: _Optional[bytes] = ...) -> None: ...
