"""Serving the web application from a thread of the node's own process."""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from dicomnode.domain.errors import InvalidSettings

_START_SECONDS = 20.0
_STOP_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """Where the pages are served, under TLS where there is a context; proxies are believed whom a request is from."""

    host: str
    port: int
    context: Callable[[], ssl.SSLContext] | None = None
    proxies: tuple[str, ...] = ()


class WebServer:
    """A uvicorn server on one address."""

    def __init__(self, app: FastAPI, address: WebAddress) -> None:
        context = address.context
        config = uvicorn.Config(
            app,
            host=address.host,
            port=address.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
            proxy_headers=bool(address.proxies),
            forwarded_allow_ips=list(address.proxies),
            ssl_context_factory=None if context is None else lambda _config, _default: context(),
        )
        self._where = f"{address.host} port {address.port}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    def start(self) -> None:
        """Begin to serve; raises InvalidSettings when the address cannot be had."""
        self._thread.start()
        give_up = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > give_up:
                raise InvalidSettings(f"cannot serve the pages on {self._where}: the address is taken or not ours")
            time.sleep(0.02)

    def stop(self) -> None:
        """Let open answers end, and stop."""
        self._server.should_exit = True
        self._thread.join(timeout=_STOP_SECONDS + 1)
