"""How often one caller may call: buckets, calls at the same time, and what a flood costs the others."""

import grpc
import pytest

from mpcstats.transport.callers import CallerCheck
from mpcstats.transport.rates import Rates


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def calls(rates, caller, method, number):
    """How many of so many calls, one after the other, are refused; the last reason."""
    refused, reason = 0, ""
    for _ in range(number):
        with rates.call(caller, method) as too_many:
            refused, reason = refused + bool(too_many), too_many or reason
    return refused, reason


def test_five_seconds_worth_at_once_then_the_rate():
    clock = Clock()
    rates = Rates(10, 100, clock)
    assert calls(rates, 1, "/x.Peer/Ping", 50) == (0, "")
    refused, reason = calls(rates, 1, "/x.Peer/Ping", 1000)
    assert refused == 1000
    assert reason == "10 calls of Ping a second are the limit (requests_per_second)"
    clock.now += 0.35
    assert calls(rates, 1, "/x.Peer/Ping", 10)[0] == 7
    clock.now += 1000  # nothing is saved up beyond the burst
    assert calls(rates, 1, "/x.Peer/Ping", 60)[0] == 10


def test_one_callers_flood_is_nobody_elses():
    rates = Rates(1, 100, Clock())
    calls(rates, 1, "/x.Peer/Ping", 100)
    assert calls(rates, 2, "/x.Peer/Ping", 5) == (0, "")
    assert calls(rates, 1, "/x.Peer/Terms", 5) == (0, "")


def test_calls_at_the_same_time():
    rates = Rates(100, 2, Clock())
    with rates.call(1, "m/Watch") as first, rates.call(1, "m/Watch") as second, rates.call(1, "m/Watch") as third:
        assert (first, second) == ("", "")
        assert third == "2 calls of Watch at the same time are the limit (calls_at_once)"
    with rates.call(1, "m/Watch") as again:
        assert again == ""


class Context:
    def auth_context(self):
        return {}

    async def abort(self, code, details):
        raise PermissionError(code, details)


class Details:
    method = "/mpcstats.v1.Peer/Ping"


async def test_a_flood_is_refused_before_anything_is_done_for_it():
    done, refused, floods = [], [], []

    async def behaviour(request, _context):
        done.append(request)

    check = CallerCheck(
        b"own",
        [],
        frozenset(),
        lambda *what: refused.append(what),
        rates=Rates(0.2, 4, Clock()),
        on_flood=lambda *what: floods.append(what),
    )

    async def continuation(_details):
        return grpc.unary_unary_rpc_method_handler(behaviour)

    handler = await check.intercept_service(continuation, Details())
    answers = []
    for number in range(5):
        with pytest.raises(PermissionError) as caught:
            await handler.unary_unary(number, Context())
        answers.append(caught.value.args[0])
    assert answers == [grpc.StatusCode.PERMISSION_DENIED, *[grpc.StatusCode.RESOURCE_EXHAUSTED] * 4]
    assert (len(done), len(refused), len(floods)) == (0, 1, 4)
