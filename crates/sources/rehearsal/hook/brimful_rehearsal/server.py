"""A server has shown what it takes once it would answer requests: then it is ended, as by Ctrl-C."""
from . import imports


def attach(here):
    imports.after("uvicorn.server", lambda module: end_when_up(here, module.Server))


def end_when_up(here, server):
    startup = server.startup

    async def start_up_and_end(self, *place, **named):
        await startup(self, *place, **named)
        if getattr(self, "started", False):
            here.note("the server was up and would have answered requests: it was ended there")
            self.should_exit = True

    server.startup = start_up_and_end
