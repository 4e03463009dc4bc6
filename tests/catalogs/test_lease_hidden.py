"""Holders that this process may not see: /proc that hides those of other users is no sign that they ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from catalogs import holder as holders
from catalogs.errors import CatalogError
from catalogs.holder import Holder, born
from catalogs.lease import LEASE, Pace
from catalogs.store import Store

# As a user without rights, where /proc shows only what is one's own.
_HIDING = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
_LOOK = """
import os, sys
from catalogs.holder import Holder, born, machine_here
from catalogs.lease import Pace, _Watch
os.setgroups([]); os.setgid(65534); os.setuid(65534)
holder = Holder.parse(sys.argv[1].encode())
alive = _Watch(Pace()).look(holder, None)
print(machine_here() == holder.machine, born(holder.pid), alive, repr(born(int(sys.argv[2]))))
"""


@pytest.fixture
def hidden(monkeypatch):
    """Have /proc show no process, and signals end with an error, or without one."""

    def hide(answer: OSError | None):
        def kill(pid, number):
            assert number == 0
            if answer is not None:
                raise answer

        def read_text(path, *how):
            if path.match("/proc/*/stat"):
                raise FileNotFoundError
            return read(path, *how)

        read = Path.read_text
        monkeypatch.setattr(Path, "read_text", read_text)
        monkeypatch.setattr(os, "kill", kill)

    return hide


@pytest.mark.parametrize(
    ("answer", "told"),
    [(ProcessLookupError(), ""), (PermissionError(), None), (None, None)],
    ids=["gone", "his", "ours"],
)
def test_born__of_a_process_that_is_not_in_proc(hidden, answer, told):
    hidden(answer)
    assert born(4711) == told


@pytest.mark.parametrize("answer", [PermissionError(), ProcessLookupError()], ids=["hidden", "gone"])
def test_lock__hidden_holder_is_judged_by_its_signs_of_life(tmp_path, monkeypatch, hidden, answer):
    monkeypatch.setattr(holders, "machine_here", lambda: "here")
    monkeypatch.setattr("catalogs.lease.machine_here", lambda: "here")
    store = Store(tmp_path / "lmc")
    store.create(LEASE, Holder.here().to_json())
    hidden(answer)
    if isinstance(answer, ProcessLookupError):
        with store.lock():
            return
    with pytest.raises(CatalogError, match="is being written by another process"), store.lock():
        pass
    with store.lock(wait=True, pace=Pace(0.05, 0.4)):  # it gives none
        pass


def test_born__where_proc_hides_other_users():
    def look(*command: str) -> subprocess.CompletedProcess:
        words = ["unshare", "--mount", "sh", "-c", _HIDING, "sh", *command]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    ended = subprocess.Popen(["true"])
    ended.wait()
    try:
        tried = look("true")
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if tried.returncode:
        pytest.skip(f"needs the right to mount /proc: {tried.stderr.strip()}")
    told = look(sys.executable, "-c", _LOOK, Holder.here().to_json().decode(), str(ended.pid))
    assert told.stdout.split() == ["True", "None", "True", "''"], told.stderr
