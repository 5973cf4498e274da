"""Who listens at a TCP port of this machine, and who serves how many connections there, as the kernel tells it."""

import socket
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

_ESTABLISHED, _LISTEN = "01", "0A"


def listening_processes(port: int) -> frozenset[int]:
    """List the processes that listen at a port."""
    return frozenset(_holders(_inodes(port, _LISTEN)))


def connections(port: int) -> Counter[int]:
    """Count the open connections at a port by the process that serves them."""
    return _holders(_inodes(port, _ESTABLISHED))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _inodes(port: int, state: str) -> frozenset[str]:
    """Find the sockets whose own end is a port, in IPv4 (proc_pid_net(5))."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return frozenset(row[9] for row in rows if int(row[1].partition(":")[2], 16) == port and row[3] == state)


def _holders(inodes: frozenset[str]) -> Counter[int]:
    found: Counter[int] = Counter()
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                for entry in (process / "fd").iterdir():
                    with suppress(OSError):
                        found[int(process.name)] += str(entry.readlink()) in wanted
    return +found


def take_port(port: int = 0, *, shared: bool = False) -> socket.socket:
    """Listen at a port of loopback, so that others cannot, or only those who share it; 0: at a free one."""
    with ExitStack() as closing:
        taken = closing.enter_context(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        closing.pop_all()
    return taken


def is_free(port: int) -> bool:
    """Whether one can listen at a port of loopback; a killed process's threads hold it a little longer than its pid."""
    try:
        take_port(port).close()
    except OSError:
        return False
    return True
