"""Python imports this by itself wherever it is on the path: it watches, and keeps the process at home.

What would leave this machine (a connection, a look-up of a name) is refused, as if no cable were plugged in, and noted
in the file RLKIT_GUARD, one line each; so is what is written, made, renamed or deleted outside RLKIT_HOME, a list of
folders. What a C library does by itself is not seen here: the tests also look at the disk, and cut the network.
"""

import os
import sys

LOG, HOMES = os.environ.get("RLKIT_GUARD"), os.environ.get("RLKIT_HOME", "").split(os.pathsep)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir": 1, "os.rename": 2, "os.remove": 1, "os.rmdir": 1, "os.symlink": 2, "os.link": 2,
           "os.truncate": 1, "shutil.rmtree": 1}                                # event: how many paths it names
LOCAL = ("127.", "::1", "localhost", "0.0.0.0", "::")


def note(what, where):
    fd = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{what}\t{where}\n".encode(errors="replace"))
    os.close(fd)


def outside(path):
    if isinstance(path, int) or path is None:
        return False
    full = os.path.realpath(os.fsdecode(path))
    return not full.startswith("/dev/") and not any(full == h or full.startswith(h + os.sep) for h in HOMES)


def watch(event, args):
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        if isinstance(address, tuple) and not str(address[0]).startswith(LOCAL):
            note("network", address)
            raise OSError(101, "Network is unreachable")
    elif event == "socket.getaddrinfo" and args[0] and not os.fsdecode(args[0]).startswith(LOCAL):
        note("network", args[0])
        raise OSError(101, "Network is unreachable")
    elif event == "open" and args[0] != LOG:
        path, mode, flags = args
        writes = any(c in mode for c in "wax+") if isinstance(mode, str) else bool((flags or 0) & WRITES)
        if writes and outside(path):
            note("write", path)
    elif event in CHANGES:
        for path in args[: CHANGES[event]]:
            if outside(path):
                note(event, path)


if LOG:
    HOMES = [os.path.realpath(home) for home in HOMES if home]
    sys.addaudithook(watch)
