"""A disk that fails: from an instant on, the kernel answers what this process asks of it with an error.

The filter is Linux's seccomp, set through the C library that Python runs on. It needs no right and no compiler, holds
for all threads, and cannot be taken off again: use it in a process of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

CALLS = {"x86_64": (74, 75, 317), "aarch64": (82, 83, 277)}
"""Numbers of fsync, fdatasync and seccomp, by machine (asm/unistd.h)."""
NO_NEW_PRIVILEGES, FILTER, ALL_THREADS = 38, 1, 1
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000


class _Step(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Step)))


def fsync_fails() -> None:
    """From now on fsync and fdatasync fail with EIO in this process and do nothing."""
    fsync, fdatasync, seccomp = CALLS[platform.machine()]
    steps = (_Step * 5)(
        _Step(LOAD, 0, 0, 0),  # the number of the call
        _Step(EQUAL, 2, 0, fsync),
        _Step(EQUAL, 1, 0, fdatasync),
        _Step(RETURN, 0, 0, ALLOW),
        _Step(RETURN, 0, 0, FAIL | errno.EIO),
    )
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if library.syscall(seccomp, FILTER, ALL_THREADS, ctypes.byref(_Program(len(steps), steps))):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
