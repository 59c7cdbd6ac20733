"""Ports of a server: flags of them, and whether they are free, told in one line.

    define_port("http_port", 8080, "port of HTTP")
    check_free("127.0.0.1", {"http_port": 8080})

Servers of other projects tell of a port in use by a traceback, or after they said that
they serve.
"""

import errno
import socket
from collections.abc import Mapping

from absl import flags as absl_flags

from stfn_keras.errors import UserError

HIGHEST = 65_535


def define_port(flag: str, default: int, text: str, lowest: int = 1) -> None:
    """Define a flag that takes a port.

    Args:
        flag: Its name.
        default: The port if none is given.
        text: What it is for.
        lowest: 0 where the server takes a free port for it.
    """
    absl_flags.DEFINE_integer(
        flag, default, text, lower_bound=lowest, upper_bound=HIGHEST
    )


def check_free(address: str, ports: Mapping[str, int]) -> None:
    """Refuse ports on which a server cannot listen.

    Args:
        address: Where it is to listen: a name, an address, 0.0.0.0 for all.
        ports: By the flag that chose them.

    Raises:
        UserError: A port is in use, needs rights, or was chosen twice; or the address
            is none of this machine's.
    """
    chosen: dict[int, str] = {}
    for flag, port in ports.items():
        if port in chosen:
            raise UserError(
                f"--{chosen[port]} and --{flag} must differ. Received: {port} for both"
            )
        chosen[port] = flag
        try:
            _bind(address, port)
        except OSError as error:
            raise _refusal(address, port, flag, error) from error


def _bind(address: str, port: int) -> None:
    """Listen for a moment."""
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, where = found[0]
    with socket.socket(family, kind, protocol) as trial:
        # As servers do: a connection that ended a moment ago holds no port.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(where)
        trial.listen()


def _refusal(address: str, port: int, flag: str, error: OSError) -> UserError:
    place = f"{address}:{port}"
    if error.errno == errno.EADDRINUSE:
        return UserError(f"cannot listen on {place}, which is in use: choose another "
                         f"--{flag}")  # fmt: skip
    if error.errno == errno.EACCES:
        return UserError(f"cannot listen on {place}, which needs more rights: choose a "
                         f"--{flag} from 1024 on")  # fmt: skip
    return UserError(f"cannot listen on {place}: {error.strerror or error}; it must be "
                     "an address of this machine")  # fmt: skip
