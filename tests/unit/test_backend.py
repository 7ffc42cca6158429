"""The port of the server that `up` keeps."""

from __future__ import annotations

import socket

from flows.backend import listen


def test_a_port_is_free_again_as_soon_as_its_server_has_ended() -> None:
    with listen(0) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # it closes first, so its end of the connection lingers
    with listen(port) as again:
        assert again.getsockname()[1] == port


def test_a_port_that_is_taken_is_left_to_who_has_it() -> None:
    with listen(0) as server, listen(server.getsockname()[1]) as other:
        assert other.getsockname()[1] != server.getsockname()[1]
