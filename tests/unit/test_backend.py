"""The port of the server that `up` keeps."""

from __future__ import annotations

import socket

from flows.backend import is_free


def test_a_port_is_free_again_as_soon_as_its_server_has_ended() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not is_free(port)
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # it closes first, so its end of the connection lingers
    assert is_free(port)
