"""Prometheus metrics of a node, over HTTP on this machine. `[observability] metrics` of party.toml turns them on.

Labels are party names of the roster, names of analyses, and words of fixed lists. Never a value, a study, a person or a
path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.roster import address_parts
from mpcstats.node.observing.meter import Meter
from mpcstats.node.observing.peers import PeerWatch
from mpcstats.node.runs.jobs import Jobs

__all__ = ["LABELS", "MetricsPage"]

LABELS = frozenset({"analysis", "state", "party", "status", "reason"})
"""Every label there is."""

_GAUGES = {
    "certificate_days": ("certificate_expiry_days", "Days until the certificate of this party ends"),
    "roster_version": ("roster_version", "Version of the roster"),
    "disk_free_bytes": ("disk_free_bytes", "Free space on the disk of state/"),
    "database_bytes": ("state_database_bytes", "Size of the state database"),
    "audit_records": ("audit_records", "Records of the audit log"),
    "memory_bytes": ("memory_bytes", "Resident memory of the node"),
    "waiting_here": ("studies_waiting_here", "Studies that wait for this party"),
    "schedules": ("schedules", "Schedules of studies that are not over"),
    "held": ("schedules_held", "Due times that were held back"),
}


class MetricsPage:
    """The page that Prometheus reads.

    Parameters
    ----------
    meter : Meter
    jobs : Jobs
    peers : PeerWatch
    vitals : function without arguments
        `Vitals.read`.
    """

    def __init__(self, meter: Meter, jobs: Jobs, peers: PeerWatch, vitals: Callable[[], Mapping[str, Any]]) -> None:
        from prometheus_client import CollectorRegistry

        self._meter, self._jobs, self._peers, self._vitals = meter, jobs, peers, vitals
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._server: Any = None

    def serve(self, address: str) -> None:
        """Answer at host:port from threads of its own.

        Raises
        ------
        ConfigurationError
            The address is taken.
        """
        from prometheus_client import start_http_server

        host, port = address_parts(address)
        try:
            self._server, _ = start_http_server(port, addr=host.strip("[]"), registry=self.registry)
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve metrics on {address}: {error.strerror}", hint="change [observability] metrics"
            ) from None

    def close(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def describe(self) -> Iterable[Any]:
        """Nothing before the first reading: registering must not ask the database."""
        return ()

    def collect(self) -> Iterable[Any]:
        """All metrics (called by the registry)."""
        yield from self._counters()
        yield from self._connections()
        yield from self._state(self._vitals())

    def _counters(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        meter = self._meter
        runs = CounterMetricFamily(
            "mpcstats_runs", "Runs by analysis and what became of them", labels=["analysis", "state"]
        )
        for (analysis, state), count in list(meter.runs.items()):
            runs.add_metric([analysis, state], count)
        yield runs
        yield CounterMetricFamily("mpcstats_rounds", "Rounds of finished runs", value=meter.rounds)
        for name, text, label, counts in (
            ("mpcstats_bytes_sent", "Bytes sent in sessions", "party", meter.bytes_sent),
            ("mpcstats_calls_refused", "Calls that were refused", "reason", meter.refused_calls),
            ("mpcstats_connections_refused", "Connections that were refused", "reason", meter.refused_connections),
            ("mpcstats_calls_over_limit", "Calls over the limit of requests", "party", meter.floods),
        ):
            family = CounterMetricFamily(name, text, labels=[label])
            for value, count in list(counts.items()):
                family.add_metric([value], count)
            yield family
        yield GaugeMetricFamily("mpcstats_runs_queued", "Runs that wait for the slot", value=self._jobs.queued)
        yield GaugeMetricFamily("mpcstats_run_in_progress", "1 while a run holds the slot", value=self._jobs.busy)

    def _connections(self) -> Iterable[Any]:
        from prometheus_client.core import GaugeMetricFamily

        reachable = GaugeMetricFamily("mpcstats_peer_reachable", "1 if a party answers", labels=["party"])
        trip = GaugeMetricFamily("mpcstats_peer_round_trip_seconds", "Round trip to a party", labels=["party"])
        skew = GaugeMetricFamily(
            "mpcstats_peer_clock_skew_seconds", "A party's clock ahead of this one", labels=["party"]
        )
        for name, peer in list(self._peers.last.items()):
            reachable.add_metric([name], float(peer.reachable))
            if peer.reachable:
                trip.add_metric([name], peer.round_trip_microseconds / 1e6)
                skew.add_metric([name], peer.clock_skew_milliseconds / 1000)
        yield from (reachable, trip, skew)

    def _state(self, vitals: Mapping[str, Any]) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for key, (name, text) in _GAUGES.items():
            yield GaugeMetricFamily(f"mpcstats_{name}", text, value=vitals[key])
        yield CounterMetricFamily("mpcstats_cpu_seconds", "Processor time of the node", value=vitals["cpu_seconds"])
        studies = GaugeMetricFamily("mpcstats_studies", "Studies by status", labels=["status"])
        for status, count in vitals["studies"].items():
            studies.add_metric([status.split(" (")[0]], count)
        yield studies
