"""Becomes another program, one that dies with its parent: `tether.py PARENT_PID PROGRAM ARGUMENT...`.

Run as a script, so that it costs no imports: the supervisor starts everything through it. A process
whose supervisor was killed with SIGKILL would otherwise live on, and hold its port.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_RUN = 127


def main() -> int:
    """Never returns where all is well."""
    parent, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        # Survives exec. It follows the parent's thread that forked, which is its event loop's.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):
            return 0  # the parent died before it was asked for
    # Python ignores SIGPIPE and exec would pass that on.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(program, [program, *arguments])  # noqa: S606 - this is what it is for
    except OSError as error:
        sys.stderr.write(f"cannot run {program}: {error.strerror}\n")
    return _CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
