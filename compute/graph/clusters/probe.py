"""What a port speaks. Asked only when connecting has failed, to say why."""

import contextlib
import socket
import ssl
from urllib.parse import urlsplit

_PATIENCE = 2.0  # [s]


def spoken(address: str) -> str | None:
    """``tcp`` or ``tls``, as the scheduler at an address does; None where nothing is to be heard.

    A plain scheduler greets whoever connects, one with TLS waits for the other to begin.
    """
    with contextlib.suppress(OSError, ValueError):
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), _PATIENCE) as line:
            line.settimeout(_PATIENCE)
            try:
                return "tcp" if line.recv(1) else None
            except TimeoutError:
                return "tls" if _answers_tls(line) else None
    return None


def _answers_tls(line: socket.socket) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing but the greeting is exchanged
    try:
        context.wrap_socket(line).close()
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # it refuses us, in TLS
    return True
