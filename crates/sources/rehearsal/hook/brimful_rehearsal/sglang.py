"""SGLang's start-up."""


def attach(here, settings):
    pass
