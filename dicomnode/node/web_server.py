"""Serving the web application from a thread of the node's own process."""

import threading
import time

import uvicorn
from fastapi import FastAPI

from dicomnode.domain.errors import InvalidSettings

_START_SECONDS = 20.0
_STOP_SECONDS = 5


class WebServer:
    """A uvicorn server on one address."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        self._where = f"{host} port {port}"
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
