"""A receiver by itself, on uvicorn: `lightrag-bkp receive`."""

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable

from ..errors import ConfigurationError, StorageError
from .app import ReceiveApplication

_BACKLOG = 256
_MOST_CONNECTIONS = 256


def parse_listen(text: str) -> tuple[str, int]:
    """HOST:PORT, [V6]:PORT or :PORT (all addresses); port 0 is any that is free.

    Raises:
        ConfigurationError: it is none of them.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"--listen {text!r} cannot be used: HOST:PORT is meant, as 0.0.0.0:9631", target=text)
    return host or "0.0.0.0", int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    application: ReceiveApplication,
    listen: str,
    certificate: str | None,
    private_key: str | None,
    *,
    allow_http: bool = False,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Answers requests until the process is told to end (SIGTERM, SIGINT).

    Args:
        certificate, private_key: PEM files; the key may be in the certificate's.
        allow_http: speak plain HTTP to other machines, as behind a proxy that speaks TLS.
        ready: told the URL once connections are taken.

    Raises:
        ConfigurationError: uvicorn is missing, an address or a certificate cannot be used, or keys would come
            unencrypted.
    """
    host, port = parse_listen(listen)
    if certificate is None and not allow_http and not is_loopback(host):
        raise ConfigurationError(
            "senders would give their keys unencrypted: name a certificate (--tls-cert), or say --allow-http where a"
            " proxy in front speaks TLS",
            target=listen,
        )
    try:
        import uvicorn

        from .intake import Intake
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"receiving needs {error.name}: pip install 'lightrag-bkp[receive]'", target=error.name or ""
        ) from None
    _check_certificate(certificate, private_key)
    listening = listening_on(host, port)
    config = uvicorn.Config(
        application,
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        http=Intake,  # type: ignore[arg-type]  # uvicorn hands it on to the loop, which takes both kinds
        limit_concurrency=_MOST_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=30,
    )
    with listening:
        name = f"[{host}]" if ":" in host else host
        url = f"{'https' if certificate else 'http'}://{name}:{listening.getsockname()[1]}"
        ready(url)  # from here on the kernel keeps connections until the server looks
        uvicorn.Server(config).run(sockets=[listening])


def listening_on(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        StorageError: it cannot.
    """
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        is_of_a_name = isinstance(error, socket.gaierror) or not error.errno
        said = error.strerror or error if is_of_a_name else os.strerror(error.errno or 0)  # its own repeats the address
        raise StorageError(
            f"{host}:{port} cannot be listened on: {said}", errno=error.errno or 0, op="listen"
        ) from error
    # What it accepts inherits this, which asyncio sets for connections of its own alone: an answer is written in two
    # pieces, and the second one waited 40 ms for the first to be acknowledged.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _check_certificate(certificate: str | None, private_key: str | None) -> None:
    if certificate is None:
        if private_key is not None:
            raise ConfigurationError("a private key without a certificate is of no use: name --tls-cert, too")
        return
    for path in (certificate, private_key):
        if path is not None and not os.path.isfile(path):
            raise ConfigurationError(f"{path!r} is no file", target=path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, private_key)
    except (OSError, ssl.SSLError) as error:
        said = getattr(error, "reason", None) or error
        raise ConfigurationError(
            f"the certificate {certificate!r} cannot be used: {said}", target=certificate
        ) from None
