"""Faults on processes that are made for it: who is struck, with what, and when that counts as repaired."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from ncore_ray.chaos.faults import Chaos, What, targets
from ncore_ray.chaos.record import Fault
from ncore_ray.chaos.report import markdown
from ncore_ray.chaos.run import Outcome, Plan
from ncore_ray.lab.rows import Check
from ncore_ray.management.processes import is_running, thread_state


class MadeUp:
    """A management of sleeping processes; who died is replaced when the status is asked for."""

    def __init__(self) -> None:
        self.processes = {name: self._start() for name in ("engine-0", "engine-1", "nic-nc0", "distributor")}
        self.restarts = dict.fromkeys(self.processes, 0)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    def ask(self, method: str, *arguments: Any) -> Any:
        if method == "events":
            return [{"number": 1, "level": "info", "text": f"{name} goes on in …"} for name in self.processes]
        if method == "flows":
            return [{"role": "client", "engine": k % 2, "remote": f"10.1.0.2:{k}"} for k in range(4)]
        for name, process in self.processes.items():
            if process.poll() is not None or thread_state(process.pid, process.pid).letter == "T":
                process.kill()
                process.wait()
                self.processes[name] = self._start()
                self.restarts[name] += 1
        return {"actors": [self._row(name) for name in self.processes], "standbys_ready": 1, "state": "running"}

    def _row(self, name: str) -> dict[str, Any]:
        kind = "PacketEngine" if name.startswith("engine") else "NicReader"
        process = self.processes[name].pid
        return {"name": name, "kind": kind, "process": process, "state": "running", "restarts": self.restarts[name]}

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def test_strikes_are_the_same_with_the_same_seed_and_are_repaired() -> None:
    made_up = MadeUp()
    try:
        before = {name: process.pid for name, process in made_up.processes.items()}
        chaos = Chaos(made_up.ask, 5, [What.KILL, What.STOP], ["engine", "nic"])
        found = [chaos.strike() for _ in range(4)]
        again = Chaos(made_up.ask, 5, [What.KILL, What.STOP], ["engine", "nic"])
        assert [one and (one.actor, one.what) for one in found] == [
            (one.actor, one.what) for one in (again.strike() for _ in range(4)) if one
        ]
        first = found[0]
        assert first is not None
        assert first.process == before[first.actor]
        assert first.repaired_s is not None
        assert first.said.startswith(f"{first.actor} goes on")
        assert "distributor" not in {one.actor for one in found if one}
    finally:
        made_up.end()


def test_a_pause_leaves_the_process_alive_and_engines_have_flows_of_their_own() -> None:
    made_up = MadeUp()
    try:
        fault = Chaos(made_up.ask, 1, [What.PAUSE], ["engine-1"]).strike()
        assert fault is not None
        assert is_running(fault.process)
        assert fault.flows == ("10.1.0.2:1", "10.1.0.2:3")
        assert Chaos(made_up.ask, 1, [What.PAUSE], ["nobody"]).strike() is None
    finally:
        made_up.end()


def test_those_in_the_process_of_another_are_not_struck() -> None:
    rows = [
        {"name": "engine-0", "kind": "PacketEngine", "process": 1, "state": "running", "restarts": 0, "host": None},
        {
            "name": "engine-1",
            "kind": "PacketEngine",
            "process": 1,
            "state": "running",
            "restarts": 0,
            "host": "engine-0",
        },
        {"name": "engine-2", "kind": "PacketEngine", "process": 2, "state": "leaving", "restarts": 0, "host": None},
        {"name": "arena", "kind": "ArenaOwner", "process": 3, "state": "running", "restarts": 0},
    ]
    assert [one.name for one in targets({"actors": rows}, [])] == ["engine-0", "arena"]


def test_a_management_is_struck_where_another_one_waits() -> None:
    status = {"actors": [], "process": 7, "backup_process": 0}
    assert targets(status, []) == []
    (found,) = targets(status | {"backup_process": 8}, ["management"])
    assert (found.name, found.process) == ("management", 7)
    assert targets(status | {"backup_process": 8}, ["engine"]) == []


def test_the_management_that_dies_is_replaced_by_the_one_that_waits_and_another_one_has_to_wait() -> None:
    seats = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2)]
    first = seats[0].pid
    waits = 0

    def ask(method: str, *arguments: Any) -> Any:
        if method == "events":
            return [{"text": f"the management (process {first}) died; process {seats[1].pid} manages on"}]
        assert method == "status"
        at_work = seats[1] if seats[0].poll() is not None else seats[0]
        status = {"actors": [], "standbys_ready": 1, "state": "running", "process": at_work.pid}
        return status | {"backup_process": waits or (seats[1].pid if at_work is seats[0] else 0)}

    try:
        chaos = Chaos(ask, 1, [What.KILL], [])
        assert chaos.is_well()
        fault = chaos.strike()
        assert fault is not None
        assert (fault.actor, fault.process, fault.flows) == ("management", first, ())
        assert fault.repaired_s is not None
        assert fault.said.endswith("manages on")
        assert not chaos.is_well()
        waits = first
        assert chaos.is_well()
    finally:
        for seat in seats:
            seat.kill()
            seat.wait()


def test_report() -> None:
    faults = [Fault(10.0, "engine-0", "kill", 7, 0.02, "engine-0 goes on | well", ("a:1",))]
    outcome = Outcome(
        "edge",
        Plan(seed=9),
        faults,
        stalls_s=[0.1, 0.2],
        checks=[Check("it holds", False, "no")],
        engines={"engine-0": (1_007, 2.6)},
    )
    text = markdown(outcome)
    assert "A check failed: 1 faults" in text
    assert "seed 9" in text
    assert "| it holds | **no** | no |" in text
    assert "| 0.0 s | kill engine-0 | 1 | 20 ms | engine-0 goes on \\| well |" in text
    assert "p50 200 ms" in text
    assert "engine-0 1,007 began, 3 at a time" in text
    assert not outcome.plain()["passed"]
