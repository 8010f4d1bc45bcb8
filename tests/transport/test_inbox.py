"""The rules of mpcstats.transport.inbox, one by one."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import FrameRejected, PartyUnreachable
from mpcstats.transport.inbox import Inbox, Piece
from mpcstats.transport.tls import FRAME_BYTES

MIB = FRAME_BYTES


def inbox(ahead=8 * MIB):
    return Inbox("beta", ahead)


def pieces(step, content):
    offsets = range(0, max(len(content), 1), MIB)
    return [Piece(step, offset, len(content), content[offset : offset + MIB]) for offset in offsets]


async def take(box, step, size):
    return bytes(await box.get(step, size, lambda: None))


@given(st.lists(st.integers(0, 3 * MIB + 5), min_size=1, max_size=4), st.booleans())
@settings(max_examples=25, deadline=None)
def test_messages_of_any_length_arrive_whether_awaited_or_not(sizes, awaited_first):
    async def scenario():
        box = inbox(ahead=64 * MIB)
        contents = {step: bytes([step + 1]) * size for step, size in enumerate(sizes)}
        waits = (
            {step: asyncio.create_task(take(box, step, len(c))) for step, c in contents.items()}
            if awaited_first
            else {}
        )
        await asyncio.sleep(0)
        for step, content in contents.items():
            for piece in pieces(step, content):
                await box.put(piece)
        for step, content in contents.items():
            got = await waits[step] if awaited_first else await take(box, step, len(content))
            assert got == content
        assert box.ahead_bytes == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("piece", "says"),
    [
        (Piece(5, 0, 8, bytes(8)), "stale or duplicated"),  # the same step again
        (Piece(4, 0, 8, bytes(8)), "stale or duplicated"),  # an earlier step
        (Piece(5, 8, 16, bytes(8)), "out of order"),  # more of a message that was complete
        (Piece(9, MIB, 2 * MIB, bytes(MIB)), "out of order"),  # begins in the middle
        (Piece(9, 0, 8, bytes(7)), "7 bytes at 0 of 8"),  # short
        (Piece(9, 0, 8, bytes(9)), "9 bytes at 0 of 8"),  # long
        (Piece(9, 0, 2 * MIB, bytes(5)), "5 bytes"),  # a piece that is not full
        (Piece(9, 0, 2 * MIB, bytes(MIB + 1)), "1048577 bytes"),  # too large
        (Piece(9, 16, 8, b""), "out of order"),  # behind the end
    ],
)
async def test_a_piece_that_breaks_a_rule_is_refused_and_names_the_sender(piece, says):
    box = inbox()
    await box.put(Piece(5, 0, 8, bytes(8)))
    assert await take(box, 5, 8) == bytes(8)
    with pytest.raises(FrameRejected, match=says) as caught:
        await box.put(piece)
    assert caught.value.party == "beta"


@given(st.lists(st.sampled_from([5, MIB + 3, 2 * MIB]), min_size=1, max_size=3), st.data())
@settings(max_examples=40, deadline=None)
def test_pieces_that_are_repeated_reordered_or_lost_never_make_another_message(sizes, data):
    """What is delivered is what was sent; the first piece out of its place is refused."""
    contents = {step: bytes([step + 1]) * (size - 1) + b"." for step, size in enumerate(sizes)}
    sent = [piece for step, content in contents.items() for piece in pieces(step, content)]
    arriving = data.draw(st.lists(st.sampled_from(range(len(sent))), min_size=len(sent), max_size=len(sent) + 2))

    async def scenario():
        box, refused = inbox(ahead=64 * MIB), False
        accepted = []
        for number in arriving:
            try:
                await box.put(sent[number])
            except FrameRejected:
                refused = True
                break
            accepted.append(number)
        # a message may be left out; a piece of one may not, and nothing comes twice or after a later one
        assert accepted == sorted(set(accepted))
        assert refused or arriving == accepted
        for step, content in contents.items():
            own = [number for number, piece in enumerate(sent) if piece.step == step]
            if set(own) <= set(accepted):
                assert await take(box, step, len(content)) == content
            else:
                assert box.take(step, len(content)) is None

    asyncio.run(scenario())


async def test_pieces_must_agree_on_the_length_and_come_in_order():
    box = inbox()
    await box.put(Piece(0, 0, 3 * MIB, bytes(MIB)))
    with pytest.raises(FrameRejected, match="out of order"):
        await box.put(Piece(0, 2 * MIB, 3 * MIB, bytes(MIB)))
    with pytest.raises(FrameRejected, match="expected"):
        await box.put(Piece(0, MIB, 4 * MIB, bytes(MIB)))
    with pytest.raises(FrameRejected, match="incomplete"):
        await box.put(Piece(1, 0, 1, b"x"))


async def test_the_receiver_knows_the_length():
    box = inbox()
    await box.put(Piece(0, 0, 8, bytes(8)))
    with pytest.raises(FrameRejected, match="8 bytes where 9"):
        await take(box, 0, 9)
    waiting = asyncio.create_task(take(box, 1, 9))
    await asyncio.sleep(0)
    with pytest.raises(FrameRejected, match="8 bytes where 9"):
        await box.put(Piece(1, 0, 8, bytes(8)))
    waiting.cancel()


async def test_a_step_that_was_skipped_is_not_waited_for():
    box = inbox()
    await box.put(Piece(7, 0, 1, b"x"))
    with pytest.raises(FrameRejected, match="step 3"):
        await take(box, 3, 1)


async def test_what_nobody_waits_for_is_bounded_also_for_tiny_messages():
    box = inbox(ahead=2 * MIB)

    async def flood():
        for step in range(10**6):
            await box.put(Piece(step, 0, 1, b"x"))

    task = asyncio.create_task(flood())
    await asyncio.sleep(0.2)
    assert not task.done()
    assert box.ahead_bytes <= 2 * MIB
    assert len(box._messages) < 5000
    held = len(box._messages)
    assert await take(box, 0, 1) == b"x"
    await asyncio.sleep(0.01)
    assert len(box._messages) == held  # one taken, one more accepted
    task.cancel()


async def test_an_awaited_message_larger_than_the_limit_arrives():
    box = inbox(ahead=2 * MIB)
    content = bytes(range(256)) * (6 * MIB // 256)

    async def send():
        for piece in pieces(0, content):
            await box.put(piece)

    sending = asyncio.create_task(send())
    await asyncio.sleep(0.05)
    assert not sending.done()
    assert await take(box, 0, len(content)) == content
    await sending


async def test_waiting_ends_when_the_sender_has_finished():
    box = inbox()
    waiting = asyncio.create_task(take(box, 0, 1))
    await asyncio.sleep(0)
    box.finish()
    with pytest.raises(PartyUnreachable, match="before step 0"):
        await waiting


async def test_what_is_here_is_taken_without_waiting_and_everything_else_is_not():
    box = inbox()
    assert box.take(0, 3) is None  # not here, and this is no wait: nothing is remembered
    for piece in (*pieces(0, b"abc"), *pieces(1, b"defg"), *pieces(2, bytes(MIB + 1))):
        await box.put(piece)
    assert box.take(0, 4) is None  # another length: left for the refusal
    with pytest.raises(FrameRejected, match="3 bytes where 4 were expected"):
        await take(box, 0, 4)
    assert bytes(box.take(0, 3)) == b"abc"
    assert box.take(0, 3) is None  # once
    assert bytes(box.take(1, 4)) == b"defg"
    assert box.take(2, MIB + 1) is None  # in pieces
    assert await take(box, 2, MIB + 1) == bytes(MIB + 1)
    assert box.ahead_bytes == 0
