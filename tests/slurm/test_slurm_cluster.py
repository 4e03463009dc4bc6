"""``--cluster slurm`` against slurmctld and slurmd themselves: jobs that are killed, refused, or never start."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from compute.settings import EpsfSettings, MeasureSettings
from tests.graph.running import enter, tables, write_fields

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).parents[2] / "deploy" / "slurm"

N, PASSES = 12, 20  # half a minute of work, so that a job can be lost and another come
ENOUGH = 400.0  # seconds to wait for what must come


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    return write_fields(tmp_path_factory.mktemp("fields"), N, stars=300, size=300)


@pytest.fixture
def recipe(fields, tmp_path):
    """Write a recipe of the first `n` fields."""

    def write(n):
        path = tmp_path / "RECIPE.toml"
        files = ", ".join(f'"{file}"' for file in fields[:n])
        path.write_text(f'catalog = "lmc"\n[exposures]\nfiles = [{files}]\n[measure.own_epsf]\npasses = {PASSES}\n')
        return path

    return write


@pytest.fixture
def run(slurm, recipe, tmp_path):
    """Start a run of the first `n` fields in a folder of its own; whatever is left of it is ended."""
    started = []

    def start(n=N, **settings) -> subprocess.Popen:
        command = [sys.executable, "-m", "cli.main", "run", recipe(n), "--cluster", "slurm", "--workers", "2"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=slurm | settings, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
        process.communicate()
    subprocess.run(["scancel", "--user=root"], env=slurm, check=False)  # of this SLURM alone


def running_jobs(slurm, states="running") -> set[str]:
    command = ["squeue", "--noheader", "--format=%A", f"--states={states}"]
    return set(subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.split())


def wait_for(true, process):
    until = time.monotonic() + ENOUGH
    while not true():
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {process.communicate()[1]}")
        assert time.monotonic() < until, "it never came"
        time.sleep(0.2)


def test_slurm__a_job_is_cancelled_and_another_takes_its_place(slurm, run, fields, client, tmp_path):
    process = run(DASK_PIAZZI__SLURM__MINIMUM="2")
    staged = tmp_path / "lmc" / ".staging" / "measure"
    wait_for(lambda: len(list(staged.glob("*.json"))) >= 2 and len(running_jobs(slurm)) == 2, process)
    first = running_jobs(slurm)
    lost = min(first, key=int)
    subprocess.run(["scancel", lost], env=slurm, check=True)
    wait_for(lambda: running_jobs(slurm) - first, process)
    _, told = process.communicate(timeout=ENOUGH)
    assert process.returncode == 0, told
    assert "Traceback" not in told
    assert "dashboard: http://127.0.0.1:" in told
    assert f"measure {N}/{N}" in told
    assert not running_jobs(slurm, "running,pending")
    enter(tmp_path / "here", client, fields, MeasureSettings(own_epsf=EpsfSettings(passes=PASSES)))
    assert tables(tmp_path / "lmc") == tables(tmp_path / "here")


def batch(slurm, folder, script, recipe, *options, **settings) -> tuple[int, str]:
    """Submit a script of deploy/slurm and wait for its end: exit code and log."""
    command = ["sbatch", "--wait", "--time=10", "--output=job.log", *options, DEPLOY / script, recipe]
    ended = subprocess.run(command, cwd=folder, env=slurm | settings, timeout=ENOUGH, check=False, capture_output=True)
    log = folder / "job.log"
    return ended.returncode, log.read_text() if log.exists() else ended.stderr.decode()


def test_batch__of_one_allocation(slurm, recipe, tmp_path):
    settings = {"INTERFACE": "lo", "PIAZZI_BIN": str(Path(sys.executable).parent)}
    options = "--ntasks=2", "--mem-per-cpu=500M"
    code, told = batch(slurm, tmp_path, "allocation.sbatch", recipe(2), *options, **settings)
    assert code == 0, told
    assert "measure: 2 exposures, 0 rejected" in told


def test_batch__with_jobs_of_its_own_and_certificates_made_for_it(slurm, recipe, tmp_path):
    settings = {"PIAZZI": str(Path(sys.executable).with_name("piazzi")), "DASK_PIAZZI__WORKERS": "1"}
    settings["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "True"
    settings["DASK_JOBQUEUE__SLURM__SHARED_TEMP_DIRECTORY"] = str(tmp_path)
    code, told = batch(slurm, tmp_path, "run.sbatch", recipe(1), **settings)
    assert code == 0, told
    assert "measure: 1 exposures, 0 rejected" in told
    (log,) = (tmp_path / "slurm-logs").glob("*.err")
    assert "tls://127.0.0.1:" in log.read_text()


def test_slurm__what_sbatch_refuses_is_told_at_once(run):
    process = run(n=1, DASK_JOBQUEUE__SLURM__QUEUE="nowhere")
    said, told = process.communicate(timeout=ENOUGH)
    assert (process.returncode, said) == (2, "")
    assert told.splitlines()[-1].startswith("piazzi: --cluster slurm: sbatch refuses the job that jobqueue.slurm")
    assert "invalid partition" in told.splitlines()[-1]


def test_slurm__jobs_that_cannot_start_are_not_asked_for_forever(slurm, run):
    process = run(n=1, DASK_JOBQUEUE__SLURM__PYTHON="/no/such/python")
    said, told = process.communicate(timeout=ENOUGH)
    assert (process.returncode, said) == (2, "")
    last = told.splitlines()[-1]
    assert last.startswith("piazzi: --cluster slurm: 3 jobs in a row ended before their worker joined, the last ")
    assert "/no/such/python" in last
    assert not running_jobs(slurm, "running,pending")
