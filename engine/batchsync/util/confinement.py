"""Limits of this process for work with files of strangers: no network, and bounded processor time, memory and files.

Linux only. The limits cannot be lifted again, and hold for every process that this one starts.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys

from batchsync.errors import UnavailableError

#: Seconds of processor time, bytes of address space, and bytes of a file that is written.
PROCESSOR_SECONDS, MEMORY_BYTES, FILE_BYTES = 60, 4 << 30, 1 << 30
_OPEN_FILES = 256
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
#: Operations of BPF (linux/bpf_common.h): load a word, return, jump if equal, jump if greater or equal.
_LOAD, _RETURN, _IF_EQUAL, _IF_GREATER_OR_EQUAL = 0x20, 0x06, 0x15, 0x35
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with EPERM
#: Calls from this number on are those of the x32 interface of x86-64.
_X32 = 0x40000000
_IO_URING_AND_PIDFD_GETFD = (425, 426, 427, 438)
#: By machine: AUDIT_ARCH (linux/audit.h), and the numbers of socket, connect, accept, sendto, recvfrom, sendmsg,
#: recvmsg, bind, listen, socketpair, accept4, recvmmsg, sendmmsg, ptrace, process_vm_readv, process_vm_writev,
#: io_uring_setup, io_uring_enter, io_uring_register and pidfd_getfd.
_MACHINES = {
    "x86_64": (
        0xC000003E,
        (41, 42, 43, 44, 45, 46, 47, 49, 50, 53, 288, 299, 307, 101, 310, 311, *_IO_URING_AND_PIDFD_GETFD),
    ),
    "aarch64": (
        0xC00000B7,
        (198, 203, 202, 206, 207, 211, 212, 200, 201, 199, 242, 243, 269, 117, 270, 271, *_IO_URING_AND_PIDFD_GETFD),
    ),
}


def require_support() -> None:
    """Check that this machine can limit a process.

    Raises:
        UnavailableError: If it cannot.
    """
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        raise UnavailableError(
            f"--untrusted needs Linux on x86-64 or arm64, not {sys.platform} on {platform.machine() or 'this machine'}",
            hint="run it in a Linux container; without --untrusted, check only files that you trust",
            name="environment.confinement",
        )


def confine() -> None:
    """Limit this process, before it starts a thread.

    Raises:
        UnavailableError: If the kernel refuses.
    """
    require_support()
    for kind, limit in (
        (resource.RLIMIT_CPU, PROCESSOR_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        hard = sys.maxsize if hard == resource.RLIM_INFINITY else hard
        lower = min(limit, hard)
        # At the soft limit of processor time the signal names its reason; at the hard one it would not.
        more = 1 if kind == resource.RLIMIT_CPU and lower < hard else 0
        resource.setrlimit(kind, (lower, lower + more))
    _refuse_network()


def _refuse_network() -> None:
    """Let the kernel refuse calls that open or use a socket, or that reach into another process, with EPERM."""
    arch, calls = _MACHINES[platform.machine()]
    refused = [(_IF_GREATER_OR_EQUAL, _X32), *((_IF_EQUAL, number) for number in calls)]
    # Offset 4 of the data is the architecture, offset 0 the number of the call.
    program = [(_LOAD, 0, 0, 4), (_IF_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _REFUSE), (_LOAD, 0, 0, 0)]
    program += [(code, len(refused) - index, 0, value) for index, (code, value) in enumerate(refused)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *item) for item in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(_PR_SET_SECCOMP, _FILTER, ctypes.addressof(header), 0, 0):
        reason = os.strerror(ctypes.get_errno()).lower()
        raise UnavailableError(
            f"the kernel refuses a filter of system calls (seccomp): {reason}",
            hint="allow seccomp for this container; without --untrusted, check only files that you trust",
            name="environment.confinement",
        )
