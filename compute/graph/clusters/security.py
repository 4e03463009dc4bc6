"""Certificates, as Dask's configuration names them; whatever is wrong with them is told before anything connects."""

from collections.abc import Sequence

import dask
from distributed import Security

from catalogs.errors import PiazziError, UnusableError

_TLS = "distributed.comm.tls"


def required() -> bool:
    """Whether the configuration asks for encryption."""
    return bool(dask.config.get("distributed.comm.require-encryption"))


def launched_security(cluster: str) -> Security | None:
    """Credentials of a cluster that is started here; None where no encryption is asked for.

    Those of the configuration, or else temporary ones, which end with the cluster.
    """
    if not required():
        return None
    roles = ("scheduler", "worker", "client")
    if any(_named(name) for name in ("ca-file", *(f"{role}.{part}" for role in roles for part in ("cert", "key")))):
        return configured(f"--cluster {cluster}", roles)
    try:
        return Security.temporary()
    except ImportError:
        raise PiazziError(
            f"--cluster {cluster}: found neither certificates nor the package cryptography to make some, "
            f"expected {_TLS}.* in Dask's configuration or the extra: pip install 'piazzi[tls]'"
        ) from None


def configured(where: str, roles: Sequence[str] = ("client",)) -> Security:
    """Credentials of the configuration.

    Raises
    ------
    UnusableError
        If a certificate that a role needs is missing or cannot be read.
    """
    for name in ("ca-file", *(f"{role}.cert" for role in roles), *(f"{role}.key" for role in roles)):
        key, path = f"{_TLS}.{name}", _named(name)
        if path is None and name.endswith(".key"):
            continue  # it may stand in the file of the certificate
        if path is None:
            raise UnusableError(where, f"no {key}", "the path of a PEM file there in Dask's configuration")
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise UnusableError(where, f"{key} = {path} ({error.strerror})", "a PEM file that can be read") from None
    security = Security()
    for role in roles:
        try:
            security.get_connection_args(role)
        except (OSError, ValueError) as error:  # what ssl raises is an OSError
            found = f"certificates of the {role} in {_TLS} that do not load ({error})"
            raise UnusableError(where, found, "a CA, a certificate and its key") from None
    return security


def _named(name: str) -> str | None:
    """Path of a PEM file in the configuration."""
    return dask.config.get(f"{_TLS}.{name}")
