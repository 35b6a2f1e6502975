"""Which headers of a client reach the backends, and which headers of a backend reach the client."""

from collections.abc import Iterable, Sequence

Headers = Sequence[tuple[bytes, bytes]]
OURS = b"x-modelpick-"
SENT = ((b"content-type", b"application/json"), (b"user-agent", b"modelpick"), (b"accept-encoding", b"identity"))
ACCEPT = b"accept"
# Headers of one connection only, headers that the gateway sets itself, and headers between a backend and the gateway:
# cookies, redirections, and instructions to browsers about the backend's address.
NOT_PASSED = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authentication-info proxy-connection te trailer transfer-encoding "
    b"upgrade http2-settings www-authenticate date server via x-powered-by set-cookie set-cookie2 alt-svc location "
    b"strict-transport-security clear-site-data expect-ct nel report-to reporting-endpoints public-key-pins "
    b"refresh".split()
)


def to_backend(of_client: Iterable[tuple[bytes, bytes]], key: str | None) -> Headers:
    """Return the headers of a request: the client's ``Accept``, byte for byte, and the backend's own key.

    Answers are asked for as they are, so that errors and usage in them can be read.
    """
    accepted = next((value for name, value in of_client if name == ACCEPT), b"*/*")
    own = [(b"authorization", f"Bearer {key}".encode())] if key else []
    return [*SENT, (ACCEPT, accepted), *own]


def to_client(of_backend: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers of an answer that are passed on."""
    headers = [(name.lower(), value) for name, value in of_backend]
    dropped = {*NOT_PASSED}
    for name, value in headers:
        if name == b"connection":  # names other headers of this connection
            dropped |= {one.strip().lower() for one in value.split(b",")}
        elif name == b"transfer-encoding":  # a length does not count then
            dropped.add(b"content-length")
    return [(name, value) for name, value in headers if name not in dropped and not name.startswith(OURS)]
