"""Writes the record first, however the process ends."""

import atexit
import os
import signal
import sys
import threading

from . import imports
from .settle import settle


def attach(record):
    """Watches every way in which a process can end itself."""
    atexit.register(finish_at_exit, record)
    _before_os_exit(record)
    _at_signals(record)
    _at_errors(record)


def finish_at_exit(record):
    """Writes the record at Python's regular end."""
    if record.used_cuda():
        settle()
    record.finish("exit")


def _before_os_exit(record):
    """Writes the record before `os._exit`, which calls no handlers."""
    leave = os._exit

    def _exit(status):
        try:
            record.finish("exit")
        finally:
            leave(status)

    os._exit = _exit


def _at_signals(record):
    """Writes the record at signals that the program does not handle. A program that handles one ends in another way."""

    def end(number, frame):
        if record.is_finishing():
            return  # The process is about to end, and must not be cut off while it writes.
        record.finish(signal.Signals(number).name)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def _at_errors(record):
    """Keeps the error that ends the program; Python still prints it."""
    show = sys.excepthook

    def excepthook(cls, error, traceback):
        record.keep_error(error)
        show(cls, error, traceback)

    sys.excepthook = excepthook
    imports.after("multiprocessing.process", lambda module: _at_errors_of_children(record, module.BaseProcess))


def _at_errors_of_children(record, process):
    """Keeps the error that ends a process of `multiprocessing`, which prints it without `sys.excepthook`."""
    run = process.run

    def keeping(self):
        try:
            run(self)
        except Exception as error:
            record.keep_error(error)
            raise

    process.run = keeping
