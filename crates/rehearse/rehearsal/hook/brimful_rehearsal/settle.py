"""Lets autograd's threads come to rest before Python ends.

A backward pass is over for the program before the thread that ran it has let go of its objects. Kernels that do nothing
leave a short program no time in between; a thread that wants the interpreter while that is being taken down ends the
whole process (`terminate called without an active exception`).
"""
import os
import time

THREADS = "/proc/self/task"
# Seconds: a thread that waits for the interpreter asks again after 5 ms.
LOOK_AGAIN = 0.01
AT_MOST = 2


def settle():
    end = time.monotonic() + AT_MOST
    before = None
    while time.monotonic() < end:
        now = [about(thread) for thread in autograd_threads()]
        if now == before and all(is_asleep for is_asleep, _ in now):
            return
        before = now
        # Others have the interpreter meanwhile.
        time.sleep(LOOK_AGAIN)


def autograd_threads():
    found = []
    try:
        for thread in os.listdir(THREADS):
            with open(f"{THREADS}/{thread}/comm") as file:
                if file.read().startswith("pt_autograd"):
                    found.append(thread)
    except OSError:
        pass
    return found


def about(thread):
    """Whether it sleeps, and how often it has been woken or interrupted."""
    try:
        with open(f"{THREADS}/{thread}/status") as file:
            lines = dict(line.split(":", 1) for line in file)
    except OSError:
        return True, None
    return lines["State"].strip()[0] == "S", (lines["voluntary_ctxt_switches"], lines["nonvoluntary_ctxt_switches"])
