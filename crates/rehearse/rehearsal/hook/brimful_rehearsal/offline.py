"""Turns the Hub's libraries offline if the Hub cannot be reached: they would try again and again, for minutes."""

import os
import socket
from urllib.parse import urlsplit

from . import imports

HUB = "https://huggingface.co"
# Seconds that a connection may take.
PATIENCE = 3


def attach(record):
    """Checks once, when the Hub's library is imported."""
    imports.after("huggingface_hub.constants", lambda constants: turn_offline(record, constants))


def turn_offline(record, constants):
    """Sets the offline switch of each library, unless the Hub can be reached."""
    if constants.HF_HUB_OFFLINE or is_reachable(os.environ.get("HF_ENDPOINT") or HUB):
        return
    constants.HF_HUB_OFFLINE = True
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        os.environ[name] = "1"
    record.note("the Hugging Face Hub cannot be reached; its libraries look for local files alone")


def is_reachable(url):
    """Whether a connection opens. Behind a proxy it cannot be known, and is taken to be so."""
    if any(name.lower() in ("https_proxy", "all_proxy") and os.environ[name] for name in os.environ):
        return True
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port or 443), PATIENCE).close()
    except OSError:
        return False
    return True
