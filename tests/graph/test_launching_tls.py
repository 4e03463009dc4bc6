"""Encrypted clusters: certificates of deploy/tls let in, everything else is refused in one line."""

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import dask
import pytest

from catalogs.errors import PiazziError
from compute.graph.client import connect
from compute.graph.clusters.security import configured, launched_security
from tests.graph.processes import ENOUGH, processes, start_scheduler, start_worker

__all__ = ["processes"]

SCRIPT = Path(__file__).parents[2] / "deploy" / "tls" / "certificates.sh"


def make_certificates(folder: Path) -> dict[str, str]:
    """Settings of certificates in a folder of their own, without asking for encryption."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make certificates with")
    subprocess.run([SCRIPT, folder, "2"], check=True, capture_output=True)
    tls = {"distributed.comm.tls.ca-file": str(folder / "ca.pem")}
    for role in ("scheduler", "worker", "client"):
        tls[f"distributed.comm.tls.{role}.cert"] = str(folder / f"{role}.pem")
        tls[f"distributed.comm.tls.{role}.key"] = str(folder / f"{role}-key.pem")
    return tls


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls") / "ours")


def with_config(tls: dict[str, str]) -> dict[str, str]:
    """The environment that the script tells of."""
    return {"DASK_CONFIG": str(Path(tls["distributed.comm.tls.ca-file"]).with_name("tls.yaml"))}


def test_certificates__load_for_every_role(tls):
    with dask.config.set(tls | {"distributed.comm.require-encryption": True}):
        security = launched_security("local")
    assert security.require_encryption
    context = security.get_connection_args("worker")["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    (authority,) = context.get_ca_certs()
    assert ("commonName", "piazzi cluster authority") in [pair for name in authority["subject"] for pair in name]


def test_certificates__none_are_wanted_by_default():
    assert launched_security("local") is None


def test_certificates__are_made_where_none_are_named():
    with dask.config.set({"distributed.comm.require-encryption": True}):
        assert "BEGIN" in launched_security("local").tls_worker_cert


def test_certificates__are_not_overwritten(tls):
    folder = Path(tls["distributed.comm.tls.ca-file"]).parent
    ended = subprocess.run([SCRIPT, folder], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "is there already" in ended.stderr


def test_certificates__keys_are_for_their_owner_alone(tls):
    assert all(Path(path).stat().st_mode & 0o077 == 0 for path in tls.values())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"client.cert": None}, "found no distributed.comm.tls.client.cert, expected the path of a PEM file there"),
        ({"ca-file": None}, "found no distributed.comm.tls.ca-file, expected"),
        ({"ca-file": "/none/ca.pem"}, "found distributed.comm.tls.ca-file = /none/ca.pem (No such file or directory)"),
        ({"client.key": "/none/key.pem"}, "distributed.comm.tls.client.key = /none/key.pem (No such file"),
        ({"client.cert": __file__}, "found certificates of the client in distributed.comm.tls that do not load ("),
    ],
)
def test_certificates__what_is_wrong_with_them_is_told(tls, change, told):
    changed = tls | {f"distributed.comm.tls.{name}": value for name, value in change.items()}
    with dask.config.set(changed), pytest.raises(PiazziError) as caught:
        configured("--cluster tls://here:1")
    assert str(caught.value).startswith("--cluster tls://here:1: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_connect__encryption_required_and_a_plain_address(tls):
    needs = tls | {"distributed.comm.require-encryption": True}
    with (
        dask.config.set(needs),
        pytest.raises(PiazziError, match="which is not encrypted"),
        connect("tcp://127.0.0.1:1"),
    ):
        pass


def refused(address: str) -> str:
    """What somebody is told who cannot get in."""
    with pytest.raises(PiazziError) as caught, connect(address, timeout=15, kernels=()):
        pass
    told = str(caught.value)
    assert "\n" not in told
    assert told.startswith(f"--cluster {address}: ")
    return told.removeprefix(f"--cluster {address}: ")


@pytest.mark.cluster
def test_connect__certificates_of_this_cluster_and_no_others(processes, tmp_path, tls):
    address = start_scheduler(processes, tmp_path, "--protocol", "tls", **with_config(tls))
    assert address.startswith("tls://")
    start_worker(processes, tmp_path, address, **with_config(tls))
    with dask.config.set(tls), connect(address, kernels=()) as client:
        assert client.submit(sum, [1, 2]).result(timeout=ENOUGH) == 3
    plain = address.replace("tls", "tcp")
    assert refused(plain) == "found a scheduler that speaks tls://, expected tcp://"
    assert refused(address).startswith("found no distributed.comm.tls.ca-file")
    with dask.config.set(make_certificates(tmp_path / "theirs")):
        assert "certificate" in refused(address)


@pytest.mark.cluster
def test_connect__a_plain_scheduler_by_a_tls_address(processes, tmp_path, tls):
    address = start_scheduler(processes, tmp_path).replace("tcp", "tls")
    with dask.config.set(tls):
        assert refused(address) == "found a scheduler that speaks tcp://, expected tls://"


@pytest.mark.cluster
def test_local__is_encrypted_where_the_configuration_requires_it():
    with dask.config.set({"distributed.comm.require-encryption": True}), connect("local", 1, kernels=()) as client:
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        assert client.submit(sum, [1, 2]).result(timeout=ENOUGH) == 3


def ip(*words) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def two_hosts():
    """Two network namespaces with a cable between them; gives their names and addresses."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("no network namespaces: needs root and ip")
    names = [f"piazzi{os.getpid()}{end}" for end in "ab"]
    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", "eth0", "netns", names[0], "type", "veth", "peer", "name", "eth0", "netns", names[1])
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        for name, address in zip(names, ("10.77.0.1", "10.77.0.2"), strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names, ("10.77.0.1", "10.77.0.2")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.mark.cluster
def test_hosts__of_their_own_are_joined_by_certificates_alone(processes, tmp_path, tls, two_hosts):
    (here, there), (address, _) = two_hosts
    inside, outside = ({"before": ("ip", "netns", "exec", name)} for name in (here, there))
    address = start_scheduler(processes, tmp_path, "--protocol", "tls", host=address, **inside, **with_config(tls))
    start_worker(processes, tmp_path, address, **outside, **with_config(tls))
    asked = "import sys; from compute.graph.client import connect\n"
    asked += "with connect(sys.argv[1], timeout=30, kernels=()) as client: print(client.submit(sum, [1, 2]).result())"

    def ask(address, **environment):
        command = [*outside["before"], sys.executable, "-c", asked, address]
        options = {"capture_output": True, "text": True, "timeout": ENOUGH, "check": False}
        return subprocess.run(command, env=os.environ | environment, **options)

    assert ask(address, **with_config(tls)).stdout == "3\n"
    ended = ask(address.replace("tls", "tcp"))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("found a scheduler that speaks tls://, expected tcp://")
