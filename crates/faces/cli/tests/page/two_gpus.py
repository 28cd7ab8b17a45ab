"""Writes a snapshot of two GPUs: those of two snapshots of one GPU each. Usage: two_gpus.py FIRST SECOND OUT"""

import gzip
import pickle
import sys

first, second, out = sys.argv[1:]
snapshots = [pickle.load(gzip.open(name)) for name in (first, second)]
for device, snapshot in enumerate(snapshots):
    for segment in snapshot["segments"]:
        segment["device"] = device
both = snapshots[0]
both["segments"] += snapshots[1]["segments"]
both["device_traces"] = [snapshot["device_traces"][0] for snapshot in snapshots]
with open(out, "wb") as file:
    pickle.dump(both, file)
