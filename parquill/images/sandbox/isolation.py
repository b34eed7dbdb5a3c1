"""What a worker gives up before it reads a hostile byte, and what its parent hides from it (Linux; elsewhere nothing).

`give_up_network`: a filter in the kernel (seccomp) refuses this process new sockets and connections, new programs,
and looking into other processes; it holds until the process ends. `hide_process`: the environment and memory of the
calling process, where the key is, cannot be read by other processes of the same user.

What does not hold: files that the user may read stay readable for a decoder that was taken over, and root's processes
may look into all others. On another system, or a processor that is not in `_CALLS`, only the limits of
`decoder_worker.py` hold.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Sequence

_SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 4, 22, 38
_FILTER_MODE = 2
_ALLOW, _REFUSE = 0x7FFF_0000, 0x0005_0001  # SECCOMP_RET_ERRNO with EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF: ld [k]; jeq; jge; ret
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_OTHER_INTERFACE = 0x4000_0000  # numbers of x86-64's x32 calls

_CALLS = {
    # socket connect accept bind listen socketpair fork vfork execve kill ptrace unshare accept4 setns
    # process_vm_readv process_vm_writev bpf execveat io_uring_setup pidfd_getfd
    "x86_64": (0xC000_003E, (41, 42, 43, 49, 50, 53, 57, 58, 59, 62, 101, 272, 288, 308, 310, 311, 321, 322, 425, 438)),
    # socket socketpair bind listen accept connect execve kill ptrace unshare accept4 setns
    # process_vm_readv process_vm_writev bpf execveat io_uring_setup pidfd_getfd
    "aarch64": (0xC000_00B7, (198, 199, 200, 201, 202, 203, 221, 129, 117, 97, 242, 268, 270, 271, 280, 281, 425, 438)),
}
"""What a decoder never calls, by processor: its name for the kernel, and the calls' numbers (linux/unistd.h)."""


class _Step(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def give_up_network() -> bool:
    """Refuse this process sockets, programs and a look into others, for good; False where there is no such filter."""
    known = _CALLS.get(platform.machine()) if sys.platform == "linux" else None
    if known is None or _prctl(_SET_NO_NEW_PRIVILEGES, 1) != 0:
        return False
    steps = _steps(*known)
    program = _Program(len(steps), (_Step * len(steps))(*steps))
    return _prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(program)) == 0


def hide_process() -> bool:
    """Let no other process of this user read this one's environment and memory; it leaves no core dump either."""
    return sys.platform == "linux" and _prctl(_SET_DUMPABLE, 0) == 0


def _steps(architecture: int, refused: Sequence[int]) -> list[_Step]:
    count = len(refused)
    return [
        _Step(_LOAD, 0, 0, _ARCHITECTURE),
        _Step(_EQUAL, 0, count + 3, architecture),  # another: to the refusal
        _Step(_LOAD, 0, 0, _NUMBER),
        _Step(_AT_LEAST, count + 1, 0, _OTHER_INTERFACE),
        *(_Step(_EQUAL, count - at, 0, number) for at, number in enumerate(refused)),
        _Step(_RETURN, 0, 0, _ALLOW),
        _Step(_RETURN, 0, 0, _REFUSE),
    ]


def _prctl(option: int, *values: int) -> int:
    try:
        call = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return -1
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    return int(call(option, *arguments))
