"""A schedule between three real nodes: approved with the study, started by itself, checked by every party."""

from __future__ import annotations

import datetime
import http.server
import json
import threading
import time
from datetime import UTC, timedelta

import pytest

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.sandbox import make_party_directories
from mpcstats.sdk.schedule_history import ScheduleHistory
from mpcstats.study.analyses.counts import CountSpec
from tests.governance.kit import NAMES, POLICY, count_manifest, make_files, make_proposal, propose, truth

pytestmark = pytest.mark.long
SPEC = CountSpec(by=("sex",))
AUTO = POLICY + '\n[approval]\nauto = ["*"]\n[release]\nrule = "auto"\n'
SECRET = "5ec2e7" * 8


@pytest.fixture
def notices():
    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    got: list[dict] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, got
    server.shutdown()
    server.server_close()


def wait_for(found, seconds: float, what: str):
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, what
        time.sleep(0.3)
    return answer


def test_scheduled_counts_run_by_themselves_wait_for_all_and_stop_when_paused(tmp_path, notices):
    port, got = notices
    directories = make_party_directories(tmp_path / "parties", make_files(tmp_path, AUTO), consortium="heart")
    folder = directories["northfield"]
    with (folder / "party.toml").open("a") as file:
        file.write(f'\n[[notify]]\nkind = "webhook"\nname = "chat"\nurl = "http://127.0.0.1:{port}/"\n')
        file.write('secret_file = "keys/hook.secret"\n')
    (folder / "keys" / "hook.secret").write_text(SECRET)
    (folder / "keys" / "hook.secret").chmod(0o600)
    with ProcessNetwork(directories) as network:
        clients = {name: network[name].client for name in NAMES}
        lead = clients["northfield"]
        wait_for(lambda: all(len(c.govern("consortium")["signed"]) == 3 for c in clients.values()), 20, "signatures")
        now = datetime.datetime.now(UTC).replace(microsecond=0)
        schedule = {
            "name": "minutely",
            "cron": "* * * * *",
            "tz": "Europe/Stockholm",
            "starts": now.isoformat(),
            "until": (now + timedelta(minutes=30)).isoformat(),
            "max_runs": 3,
            "grace_minutes": 10,
        }
        wrong = schedule | {"cron": "0 6 * * 1"}
        with pytest.raises(ConfigurationError, match="write 'mon'"):
            propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="hf", schedule=wrong))
        study = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="hf", schedule=schedule))
        wait_for(lambda: lead.govern("show", study=study)["status"] == "approved", 20, "approvals")
        with pytest.raises(SpecError, match="run by its schedule"):
            lead.govern("run", study=study)

        def states(client):
            return [row["state"] for row in client.govern("schedule_history", study=study)["rows"]]

        for client in clients.values():
            wait_for(lambda client=client: "released" in states(client), 150, "the first count")
        for client in clients.values():
            found = ScheduleHistory(client.govern("schedule_history", study=study))
            first = found.to_frame().query("state == 'released'").iloc[0]
            exact = truth(tmp_path)
            assert all(abs(first[sex] - exact[sex]) <= 2 for sex in ("f", "m"))
        clients["westbay"].govern("pause", study=study, reason="audit")
        wait_for(lambda: lead.govern("schedules")["schedules"][-1]["paused"] == {"westbay": "audit"}, 20, "pause")
        done = states(lead).count("released")
        wait_for(lambda: states(lead)[-1] == "planned", 120, "a count that waits")
        assert states(lead).count("released") == done
        clients["westbay"].govern("resume", study=study)
        wait_for(lambda: states(lead).count("released") > done, 90, "the next count")
    events = {notice["event"] for notice in got}
    assert {"study-proposed", "approved", "computed", "released", "schedule-paused"} <= events
    assert all(str(int(first[sex])) not in json.dumps(notice.get("state", "")) for notice in got for sex in ("f", "m"))
