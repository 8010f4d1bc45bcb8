# Generated from protos/mpcstats/v1/node.proto by scripts/proto. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Failure(_message.Message):
    __slots__ = ("code", "party", "message", "hint")
    CODE_FIELD_NUMBER: _ClassVar[int]
    PARTY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    code: str
    party: str
    message: str
    hint: str
    def __init__(self, code: _Optional[str] = ..., party: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class PingRequest(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class PingReply(_message.Message):
    __slots__ = ("name", "roster_digest", "version", "time_microseconds", "registry_digest", "payload", "protocol", "roster_version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ROSTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    roster_digest: bytes
    version: str
    time_microseconds: int
    registry_digest: bytes
    payload: bytes
    protocol: int
    roster_version: int
    def __init__(self, name: _Optional[str] = ..., roster_digest: _Optional[bytes] = ..., version: _Optional[str] = ..., time_microseconds: _Optional[int] = ..., registry_digest: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., protocol: _Optional[int] = ..., roster_version: _Optional[int] = ...) -> None: ...

class CoordinatorMessage(_message.Message):
    __slots__ = ("reserve", "begin", "cancelled")
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    reserve: Reserve
    begin: Begin
    cancelled: Failure
    def __init__(self, reserve: _Optional[_Union[Reserve, _Mapping]] = ..., begin: _Optional[_Union[Begin, _Mapping]] = ..., cancelled: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Reserve(_message.Message):
    __slots__ = ("run_id", "spec_json", "plan_json", "roster_digest", "version", "study", "phase", "occurrence", "sealed_run", "resume", "without")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    PLAN_JSON_FIELD_NUMBER: _ClassVar[int]
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCE_FIELD_NUMBER: _ClassVar[int]
    SEALED_RUN_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    run_id: bytes
    spec_json: str
    plan_json: str
    roster_digest: bytes
    version: str
    study: str
    phase: str
    occurrence: str
    sealed_run: str
    resume: bool
    without: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_id: _Optional[bytes] = ..., spec_json: _Optional[str] = ..., plan_json: _Optional[str] = ..., roster_digest: _Optional[bytes] = ..., version: _Optional[str] = ..., study: _Optional[str] = ..., phase: _Optional[str] = ..., occurrence: _Optional[str] = ..., sealed_run: _Optional[str] = ..., resume: _Optional[bool] = ..., without: _Optional[_Iterable[str]] = ...) -> None: ...

class Entries(_message.Message):
    __slots__ = ("heads_json", "entries")
    HEADS_JSON_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    heads_json: str
    entries: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, heads_json: _Optional[str] = ..., entries: _Optional[_Iterable[str]] = ...) -> None: ...

class TermsRequest(_message.Message):
    __slots__ = ("spec_json", "roster_digest")
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    spec_json: str
    roster_digest: bytes
    def __init__(self, spec_json: _Optional[str] = ..., roster_digest: _Optional[bytes] = ...) -> None: ...

class TermsReply(_message.Message):
    __slots__ = ("terms_json", "refused")
    TERMS_JSON_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    terms_json: str
    refused: Failure
    def __init__(self, terms_json: _Optional[str] = ..., refused: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Begin(_message.Message):
    __slots__ = ("session_id", "rules_json", "study_digest")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RULES_JSON_FIELD_NUMBER: _ClassVar[int]
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    rules_json: str
    study_digest: bytes
    def __init__(self, session_id: _Optional[bytes] = ..., rules_json: _Optional[str] = ..., study_digest: _Optional[bytes] = ...) -> None: ...

class PartyMessage(_message.Message):
    __slots__ = ("queued", "accepted", "started", "finished", "refused")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    queued: Queued
    accepted: Accepted
    started: Started
    finished: Finished
    refused: Failure
    def __init__(self, queued: _Optional[_Union[Queued, _Mapping]] = ..., accepted: _Optional[_Union[Accepted, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., refused: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Queued(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("rules_json", "plan_digest")
    RULES_JSON_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    rules_json: str
    plan_digest: bytes
    def __init__(self, rules_json: _Optional[str] = ..., plan_digest: _Optional[bytes] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Finished(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("spec_json",)
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    spec_json: str
    def __init__(self, spec_json: _Optional[str] = ...) -> None: ...

class GovernRequest(_message.Message):
    __slots__ = ("verb", "arguments_json")
    VERB_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    verb: str
    arguments_json: str
    def __init__(self, verb: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class GovernEvent(_message.Message):
    __slots__ = ("progress", "answer", "failure")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    progress: str
    answer: bytes
    failure: Failure
    def __init__(self, progress: _Optional[str] = ..., answer: _Optional[bytes] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class RunEvent(_message.Message):
    __slots__ = ("progress", "outcome", "done", "failure")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    progress: str
    outcome: bytes
    done: RunDone
    failure: Failure
    def __init__(self, progress: _Optional[str] = ..., outcome: _Optional[bytes] = ..., done: _Optional[_Union[RunDone, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class RunDone(_message.Message):
    __slots__ = ("outcome_digest",)
    OUTCOME_DIGEST_FIELD_NUMBER: _ClassVar[int]
    outcome_digest: bytes
    def __init__(self, outcome_digest: _Optional[bytes] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("name", "role", "version", "consortium", "roster_digest", "uptime_seconds", "current_run", "queued_runs", "finished_runs", "failed_runs", "peers")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONSORTIUM_FIELD_NUMBER: _ClassVar[int]
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_RUN_FIELD_NUMBER: _ClassVar[int]
    QUEUED_RUNS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_RUNS_FIELD_NUMBER: _ClassVar[int]
    FAILED_RUNS_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: str
    version: str
    consortium: str
    roster_digest: bytes
    uptime_seconds: int
    current_run: str
    queued_runs: int
    finished_runs: int
    failed_runs: int
    peers: _containers.RepeatedCompositeFieldContainer[PeerStatus]
    def __init__(self, name: _Optional[str] = ..., role: _Optional[str] = ..., version: _Optional[str] = ..., consortium: _Optional[str] = ..., roster_digest: _Optional[bytes] = ..., uptime_seconds: _Optional[int] = ..., current_run: _Optional[str] = ..., queued_runs: _Optional[int] = ..., finished_runs: _Optional[int] = ..., failed_runs: _Optional[int] = ..., peers: _Optional[_Iterable[_Union[PeerStatus, _Mapping]]] = ...) -> None: ...

class PeerStatus(_message.Message):
    __slots__ = ("name", "reachable", "round_trip_microseconds", "same_roster", "version", "clock_skew_milliseconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    ROUND_TRIP_MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    SAME_ROSTER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLOCK_SKEW_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    reachable: bool
    round_trip_microseconds: int
    same_roster: bool
    version: str
    clock_skew_milliseconds: int
    def __init__(self, name: _Optional[str] = ..., reachable: _Optional[bool] = ..., round_trip_microseconds: _Optional[int] = ..., same_roster: _Optional[bool] = ..., version: _Optional[str] = ..., clock_skew_milliseconds: _Optional[int] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopReply(_message.Message):
    __slots__ = ("busy",)
    BUSY_FIELD_NUMBER: _ClassVar[int]
    busy: bool
    def __init__(self, busy: _Optional[bool] = ...) -> None: ...
