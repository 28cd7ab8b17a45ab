"""The settings of a rehearsal: one JSON object in one environment variable, which all processes inherit."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

VARIABLE = "BRIMFUL_REHEARSAL"


@dataclass(frozen=True)
class Settings:
    """What the user asked for. `HookSettings` of the crate writes these names."""

    # Where records and snapshots go.
    folder: str
    # How many events the allocator's history keeps, the newest.
    history: int
    # The number of optimizer steps after which the run ends.
    steps: Optional[int] = None
    # Whether the other ranks of the job are imagined.
    imagined: bool = False
    # Whether models are built from their config.json if a checkpoint is missing.
    dummy_weights: bool = False
    # Whether a server continues once it listens.
    keep_serving: bool = False
    # The fields of rows that stand in for data sets, each with the name of its data set, or `None` for all others.
    synthetic: Sequence[dict] = ()

    @classmethod
    def from_environment(cls):
        """The settings of this process. A name that this class does not know is an error."""
        return cls(**json.loads(os.environ[VARIABLE]))
