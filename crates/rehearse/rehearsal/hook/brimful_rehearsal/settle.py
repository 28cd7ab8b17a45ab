"""Lets autograd's threads come to rest before Python ends.

For the program a backward pass is over before the thread that ran it has dropped its objects. Kernels that do nothing
leave a short program no time in between. A thread that wants the interpreter while that is being taken down ends the
whole process (`terminate called without an active exception`).
"""

import os
import time

THREADS = "/proc/self/task"
# Seconds between two looks: a thread that waits for the interpreter asks again after 5 ms.
INTERVAL = 0.01
# Seconds after which the process ends in any case.
LIMIT = 2


def settle():
    """Waits until two looks in a row find every thread of autograd asleep, and not woken in between."""
    end = time.monotonic() + LIMIT
    before = None
    while time.monotonic() < end:
        now = [activity(thread) for thread in autograd_threads()]
        if now == before and all(is_asleep for is_asleep, _ in now):
            return
        before = now
        # Meanwhile other threads can have the interpreter.
        time.sleep(INTERVAL)


def autograd_threads():
    """The numbers of autograd's threads; none on a system without /proc."""
    found = []
    try:
        for thread in os.listdir(THREADS):
            with open(f"{THREADS}/{thread}/comm") as file:
                if file.read().startswith("pt_autograd"):
                    found.append(thread)
    except OSError:
        pass
    return found


def activity(thread):
    """Whether a thread sleeps, and how often it has been woken or interrupted. A thread that has ended sleeps."""
    try:
        with open(f"{THREADS}/{thread}/status") as file:
            lines = dict(line.split(":", 1) for line in file)
    except OSError:
        return True, None
    return lines["State"].strip()[0] == "S", (lines["voluntary_ctxt_switches"], lines["nonvoluntary_ctxt_switches"])
