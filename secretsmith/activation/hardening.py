"""What the process takes from itself before it reads anything: cores, a loose umask, the caller's environment."""

from __future__ import annotations

import os
import resource
import sys
from types import TracebackType

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_KEPT = ("TZ", "SECRETSMITH_DEBUG")  # the second shows places in the code, and an internal error asks for it


def harden_process() -> None:
    """Harden the whole process; for the door only, since it changes what belongs to the caller.

    The environment is replaced because libraries read it (OPENSSL_CONF, LD_*, PYTHON*): whoever may start activation must
    not steer it.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(_ENVIRONMENT | kept)
    sys.excepthook = _silent


def _silent(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # A traceback quotes source lines and an exception's text may quote a value, so neither is printed.
    sys.stderr.write(f"secretsmith: error: internal error: {kind.__name__}\n")


__all__ = ["harden_process"]
