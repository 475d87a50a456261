"""A socket to listen on, or a sentence about why there is none."""

import socket


class CannotListenError(Exception):
    """Raised when nothing can listen there.

    The port is taken or not allowed, or the address is not this machine's.
    """


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 finds a free one. Raises CannotListenError."""
    # Named as TCP, so that asyncio sets TCP_NODELAY: without it small answers take 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError, UnicodeError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise CannotListenError(f"{host}:{port}: {reason}") from error
    return listener
