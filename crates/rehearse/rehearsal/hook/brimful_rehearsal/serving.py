"""Rehearsals of servers: the figures of serving engines, and the end of the rehearsal once the server listens."""

import contextlib
import functools
import os
import signal

from . import engines, imports, uncompiled
from .engines.startup import SERVES
from .record import say


def attach(record):
    """Watches the engines, and the server that they have in common."""
    uncompiled.attach(record)
    engines.attach(record)
    if not record.settings.keep_serving:
        imports.after("uvicorn.server", lambda uvicorn: end_when_listening(uvicorn.Server))


def end_when_listening(server):
    """Has the server of an engine end once it listens."""
    start = server.startup

    @functools.wraps(start)
    async def startup(self, *args, **kwargs):
        await start(self, *args, **kwargs)
        if os.environ.get(SERVES) and self.started:
            say("the server listens: the start-up is complete")
            self.should_exit = True
            # SGLang's processes are killed now, at which its watchdog sends SIGQUIT. Only the main thread may set a
            # handler.
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGQUIT, signal.SIG_IGN)

    server.startup = startup
