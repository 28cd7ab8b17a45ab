"""However the process ends, its record is written first."""
import atexit
import os
import signal
import sys
import threading

from . import imports
from .settle import settle


def attach(here):
    atexit.register(leave, here)
    _at_os_exit(here)
    _at_signals(here)
    _at_errors(here)


def leave(here):
    if here.used_cuda():
        settle()
    here.finish("exit")


def _at_os_exit(here):
    leave = os._exit

    def _exit(status):
        try:
            here.finish("exit")
        finally:
            leave(status)

    os._exit = _exit


def _at_signals(here):
    """Where the program handles a signal itself, it ends in one of the other ways."""

    def end(number, frame):
        if here.is_finishing():
            return  # it is about to end anyway, and must not be cut off in what it writes
        here.finish(signal.Signals(number).name)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def _at_errors(here):
    """Keeps what the program died of; it is still printed as ever."""
    show = sys.excepthook

    def excepthook(kind, error, trace):
        here.keep_error(error)
        show(kind, error, trace)

    sys.excepthook = excepthook
    imports.after("multiprocessing.process", lambda module: _at_errors_of_children(here, module.BaseProcess))


def _at_errors_of_children(here, process):
    """A process of `multiprocessing` prints its error itself."""
    run = process.run

    def keeping(self):
        try:
            run(self)
        except Exception as error:
            here.keep_error(error)
            raise

    process.run = keeping
