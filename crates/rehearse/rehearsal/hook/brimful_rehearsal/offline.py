"""Where the Hub cannot be reached, its libraries are told so: they would try again and again, for minutes."""
import os
import socket
from urllib.parse import urlsplit

from . import imports

HUB = "https://huggingface.co"
# Seconds that a connection may take.
PATIENCE = 3


def attach(here):
    imports.after("huggingface_hub.constants", lambda constants: tell(here, constants))


def tell(here, constants):
    if constants.HF_HUB_OFFLINE or reachable(os.environ.get("HF_ENDPOINT") or HUB):
        return
    constants.HF_HUB_OFFLINE = True
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        os.environ[name] = "1"
    here.note("the Hugging Face Hub cannot be reached; its libraries look for local files alone")


def reachable(url):
    """Behind a proxy nobody can tell."""
    if any(name.lower() in ("https_proxy", "all_proxy") and os.environ[name] for name in os.environ):
        return True
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port or 443), PATIENCE).close()
    except OSError:
        return False
    return True
