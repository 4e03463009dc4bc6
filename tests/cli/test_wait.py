"""Two commands on one catalog: the second goes with a line that says who is at work, or waits for it."""

import subprocess
import sys
import textwrap
import threading

import pytest


@pytest.fixture
def holder(tmp_path):
    """A process that writes the catalog until its input ends."""
    code = f"""
        import sys
        from compute.graph.run import writing
        with writing({str(tmp_path / "lmc")!r}):
            print("holds", flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def test_second__goes_or_waits(piazzi, clustered, frames, tmp_path, holder):
    ended = piazzi("ingest", tmp_path / "lmc", frames[0])
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith(f"piazzi: {tmp_path / 'lmc'} is being written by another process: ")
    assert f"(process {holder.pid} on " in line
    assert line.endswith("; --wait waits for it")
    threading.Timer(1.0, holder.stdin.close).start()
    ended = piazzi("ingest", tmp_path / "lmc", frames[0], "--wait")
    assert ended.code == 0
    assert ended.out.startswith("ingest: 1 exposures")
    assert ended.err.splitlines()[0].startswith(f"{tmp_path / 'lmc'}: waiting for ")
    assert not list((tmp_path / "lmc").glob(".lease*"))
