"""The hand-written codec of chunks writes and reads what the generated code does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcstats.transport.codec import ChunkFrame, decode, encode, encode_chunk
from mpcstats.wire.transport_pb2 import Abort, Chunk, Frame

numbers = st.integers(0, 2**63 - 1)


@given(
    st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), numbers, numbers, numbers, st.binary(max_size=300)
)
def test_a_chunk_is_written_as_protobuf_writes_it(
    session: bytes, epoch: int, step: int, offset: int, total: int, payload: bytes
) -> None:
    frame = Frame(session_id=session, epoch=epoch, chunk=Chunk(step=step, offset=offset, total=total, payload=payload))
    ours = encode_chunk(session, epoch, step, offset, total, memoryview(payload))
    assert ours == frame.SerializeToString(deterministic=True)
    read = decode(ours)
    assert isinstance(read, ChunkFrame)
    assert (read.session_id, read.epoch, read.step, read.offset, read.total, bytes(read.payload)) == (
        session,
        epoch,
        step,
        offset,
        total,
        payload,
    )


def test_other_frames_are_parsed_by_the_generated_code() -> None:
    frame = Frame(session_id=bytes(16), epoch=3, abort=Abort(code="E1401", party=2))
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize("change", ["unknown field", "fields in another order", "cut"])
def test_a_chunk_in_another_form_is_left_to_the_generated_code(change: str) -> None:
    chunk = Chunk(step=5, offset=0, total=4, payload=b"abcd")
    inner = chunk.SerializeToString()
    if change == "unknown field":
        inner = b"\x50\x01" + inner
    elif change == "fields in another order":
        inner = b"\x22\x04abcd\x18\x04\x08\x05"
    data = b"\x0a\x10" + bytes(16) + b"\x22" + bytes([len(inner)]) + inner
    if change == "cut":
        assert decode(data[:-2]) == Frame()  # of no session, which its reader refuses
        return
    read = decode(data)
    assert isinstance(read, Frame)
    assert read.chunk.payload == b"abcd"


@given(st.binary(max_size=80))
def test_no_bytes_make_the_decoder_raise(data: bytes) -> None:
    decode(data)
