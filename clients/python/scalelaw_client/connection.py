"""The channel to a server: address, TLS, token."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any, Optional, Union

import grpc

from .errors import InvalidArgument

#: A PEM file, or its content.
Pem = Union[str, "os.PathLike[str]", bytes]

_OPTIONS = [
    # The list of runs of a large sweep is above gRPC's default of 4 MiB.
    ("grpc.max_receive_message_length", 256 << 20),
    # A proxy meant for the web is no way to one's own server.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


class _TokenBearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    # Rather than call credentials: those are refused on connections without TLS, also within one machine.
    def __init__(self, token: str):
        self._entry = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details._replace(metadata=[*(details.metadata or ()), self._entry]), request)

    intercept_unary_stream = intercept_unary_unary


def open_channel(address: str, *, token: Optional[str] = None, tls: bool = False,
                 root_certificates: Optional[Pem] = None, certificate: Optional[Pem] = None,
                 key: Optional[Pem] = None) -> grpc.Channel:
    """Connects with the first call. InvalidArgument naming the option that cannot be used, and for a token that would
    travel to another machine in the clear."""
    if (certificate is None) != (key is None):
        raise InvalidArgument("certificate: belongs together with key; give both or neither")
    if token is not None and (not token or not token.isprintable() or " " in token or not token.isascii()):
        raise InvalidArgument("token: is no token; give the text that `scalelaw-server token create` printed")
    if tls or root_certificates is not None or certificate is not None:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(
            _pem("root_certificates", root_certificates), _pem("key", key), _pem("certificate", certificate)), _OPTIONS)
    elif token is not None and not is_loopback(address):
        raise InvalidArgument(f"token: would travel to {address} in the clear; give root_certificates, or tls=True")
    else:
        channel = grpc.insecure_channel(address, _OPTIONS)
    return grpc.intercept_channel(channel, _TokenBearer(token)) if token is not None else channel


def is_loopback(address: str) -> bool:
    """Whether `host:port` can only be reached from this machine."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pem(option: str, pem: Optional[Pem]) -> Optional[bytes]:
    if pem is None or isinstance(pem, bytes):
        return pem
    try:
        return Path(pem).read_bytes()
    except OSError as error:
        raise InvalidArgument(f"{option}: {os.fspath(pem)}: {error.strerror}") from error
