"""What a decoder that was taken over could still do: no socket, no program, no look into its parent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from parquill.images.sandbox.isolation import _CALLS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in _CALLS, reason="the kernel's filter is Linux's"
)

TAKEN_OVER = """
import ctypes, io, os, socket, sys, threading
from PIL import Image
from parquill.images.sandbox.isolation import give_up_network
kept, other = socket.socketpair()
listener = socket.create_server(("127.0.0.1", 0))
assert give_up_network()

def refused(attempt):
    try:
        attempt()
    except PermissionError:
        return True
    return False

libc = ctypes.CDLL(None, use_errno=True)
def call(number, *rest):
    if libc.syscall(number, *rest) == -1:
        raise OSError(ctypes.get_errno(), "refused")
print([
    refused(lambda: socket.socket()),
    refused(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)),
    refused(lambda: socket.socket(socket.AF_UNIX)),
    refused(lambda: kept.connect("/run/x")),
    refused(lambda: listener.accept()),
    refused(lambda: os.execv("/bin/true", ["/bin/true"])),
    refused(lambda: os.kill(os.getppid(), 0)),
    refused(lambda: call(425, 8, 0)),
])
picture = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(picture, "PNG")
Image.open(io.BytesIO(picture.getvalue())).load()
thread = threading.Thread(target=lambda: other.sendall(b"works"))
thread.start()
print(kept.recv(5), refused(lambda: socket.socket()))
thread.join()
"""


def test_the_kernel_refuses_sockets_and_programs_and_decoding_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", TAKEN_OVER], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [str([True] * 8), "b'works' True"], done.stderr


HIDDEN = """
import ctypes, os, subprocess, sys
from parquill.images.sandbox.isolation import hide_process
if os.geteuid() == 0:  # root reads everything
    os.setgroups([]); os.setgid(2001); os.setuid(2001)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
if sys.argv[1] == "hide":
    assert hide_process()
found = subprocess.run(["cat", f"/proc/{os.getpid()}/environ"], capture_output=True, cwd="/").stdout
print(b"hush-4711" in found, os.readlink("/proc/self/fd/1") != "")
"""


@pytest.mark.parametrize(("how", "seen"), [("show", True), ("hide", False)])
def test_another_process_of_the_user_does_not_read_the_environment(how: str, seen: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, how], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "THE_KEY": "hush-4711"},
    )  # fmt: skip
    assert done.stdout.split() == [str(seen), "True"], done.stderr
