"""The record of this process, and how it is handed over: one JSON file, and one snapshot of its memory."""

import json
import os
import sys

from . import marks
from .values.reads import Reads

# The amounts of a record, and PyTorch's names for them.
LEDGERS = {
    "requested": "requested_bytes",
    "allocated": "allocated_bytes",
    "active": "active_bytes",
    "reserved": "reserved_bytes",
}
# The libraries whose versions a record holds.
VERSIONS = (
    "transformers",
    "accelerate",
    "peft",
    "bitsandbytes",
    "deepspeed",
    "lightning",
    "trl",
    "diffusers",
    "timm",
    "vllm",
    "sglang",
)
# The folder of this hook.
OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Libraries that take GPU memory beside PyTorch's allocator.
BESIDE = ("jax", "tensorflow", "cupy")
# Characters of an error's message that a record keeps.
MESSAGE_LIMIT = 20000


def say(text):
    """Prints a line to the standard error at once, so that a process that is killed has printed it."""
    print("brimful: " + text, file=sys.stderr, flush=True)


class Record:
    """What is known of this process. There is one for each process."""

    def __init__(self, torch, settings):
        self.torch = torch
        self.settings = settings
        self.process = os.getpid()
        self.peaks = {}
        self.counts = {}
        self.failures = []
        self.error = None
        self.notes = []
        self.steps = 0
        self.optimizers = []
        self.marks = marks.Marks()
        self.values = Reads()
        self.serving = None
        self.recording = False
        self.written = False
        # Whether the steps that were asked for are done.
        self.reached = False
        self.last_words = []

    def begin(self):
        """Writes a first record, so that a process that is killed is known, too."""
        self.hand_over("running")

    def before_end(self, call):
        """Calls a function before the last record is written."""
        self.last_words.append(call)

    def hand_over_now(self):
        """Writes the amounts so far, for a process that may be killed before it ends."""
        self.hand_over("running", list(self.devices()) if self.used_cuda() else ())

    def show_steps(self):
        """Writes the number of steps down, for the line that shows a run while it goes on."""
        path = os.path.join(self.settings.folder, f"{self.process}.steps")
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(str(self.steps))
        except OSError:
            # A full disk is reported where the record itself is written.
            pass

    def refuse(self):
        """Ends a process that cannot be rehearsed: its torch computes on the CPU or on an AMD GPU only."""
        self.hand_over("refused")
        os._exit(2)

    def note(self, text):
        """Adds a note for the user, once, and prints it."""
        if text not in self.notes:
            self.notes.append(text)
            say(text)
            if not self.written:
                # A process that is killed later has handed its notes over.
                self.hand_over("running")

    def serve(self, engine, **figures):
        """Adds figures of a serving engine. A figure that the engine did not report is `None`, and is left out."""
        self.serving = self.serving or {"engine": engine}
        self.serving.update({name: value for name, value in figures.items() if value is not None})

    def keep_error(self, error):
        """Keeps the error that the program may die of."""
        self.error = {"type": type(error).__name__, "message": str(error)[:MESSAGE_LIMIT]}

    def fold(self, device):
        """Keeps the peaks so far, before the program resets them."""
        stats = self.torch._C._cuda_memoryStats(device)
        peaks = self.peaks.setdefault(device, dict.fromkeys(LEDGERS, 0))
        for ledger, name in LEDGERS.items():
            peaks[ledger] = max(peaks[ledger], stats[name]["all"]["peak"])
        counts = self.counts.setdefault(device, {"retries": 0, "ooms": 0, "asked": 0})
        return stats, peaks, counts

    def fold_counts(self, device):
        """Keeps the counts so far, before the program resets them."""
        stats, _, counts = self.fold(device)
        counts["retries"] += stats["num_alloc_retries"]
        counts["ooms"] += stats["num_ooms"]
        counts["asked"] += stats["requested_bytes"]["all"]["allocated"]

    def asked(self, device):
        """The sum of all requests that were served. It grows with every allocation."""
        stats, _, counts = self.fold(device)
        return counts["asked"] + stats["requested_bytes"]["all"]["allocated"]

    def devices(self):
        """The amounts of each GPU on which this process asked for memory."""
        for device in range(self.torch._C._cuda_getDeviceCount()):
            stats, peaks, counts = self.fold(device)
            if peaks["reserved"] == 0 and stats["num_ooms"] == 0:
                continue
            yield {
                "device": device,
                "peak": dict(peaks),
                "end": {ledger: stats[name]["all"]["current"] for ledger, name in LEDGERS.items()},
                "retries": counts["retries"] + stats["num_alloc_retries"],
                "ooms": counts["ooms"] + stats["num_ooms"],
                "asked": counts["asked"] + stats["requested_bytes"]["all"]["allocated"],
            }

    def used_cuda(self):
        """Whether the process has CUDA numbers of its own. The fork of a process that had initialised CUDA holds a copy
        of its parent's.
        """
        cuda = self.torch.cuda
        return cuda.is_initialized() and not cuda._is_in_bad_fork()

    def is_finishing(self):
        """Whether this process itself, and not the one that it was forked from, has begun to write its last record."""
        return self.written and self.process == os.getpid()

    def finish(self, ended):
        """Writes the last record, once for each process; `ended` says how the process ends."""
        if self.is_finishing():
            return
        self.process, self.written = os.getpid(), True
        for call in self.last_words:
            call()
        if not self.used_cuda():
            self.hand_over(ended)
            return
        import gc

        # A collection would free the program's tensors while they are counted.
        gc.disable()
        devices = list(self.devices())
        snapshot = None
        if self.recording and devices:
            snapshot = f"{self.process}.pickle"
            self.snapshot(snapshot, devices)
        self.hand_over(ended, devices, snapshot)
        gc.enable()

    def snapshot(self, name, devices):
        """Writes the history of this process, as `torch.cuda.memory._dump_snapshot` writes it."""
        import pickle

        content = self.torch.cuda.memory._snapshot()
        leave_out_own_frames(content)
        annotations = list(content.get("external_annotations", ()))
        for device in devices:
            annotations += [{**mark, "device": device["device"]} for mark in self.marks.annotations()]
        content["external_annotations"] = sorted(annotations, key=lambda annotation: annotation["time_us"])
        path = os.path.join(self.settings.folder, name)
        with open(path + ".part", "wb") as file:
            pickle.dump(content, file, protocol=4)
        # A reader never sees half a file: it gets its name when it is complete.
        os.rename(path + ".part", path)

    def hand_over(self, ended, devices=(), snapshot=None):
        """Writes the record in place of the one that this process wrote before."""
        content = {
            "pid": os.getpid(),
            "ended": ended,
            "argv": list(getattr(sys, "orig_argv", sys.argv)),
            "rank": self.rank("RANK"),
            "local_rank": self.rank("LOCAL_RANK"),
            "world_size": self.rank("WORLD_SIZE"),
            "versions": self.versions(),
            "torch_cuda": self.torch.version.cuda,
            "torch_hip": getattr(self.torch.version, "hip", None),
            "steps": self.steps,
            "reached": self.reached,
            "beside": [name for name in BESIDE if name in sys.modules],
            "optimizers": self.optimizers,
            "devices": list(devices),
            "failures": self.failures,
            "error": self.error,
            "notes": self.notes,
            "serving": self.serving,
            "values": self.values.content(),
            "snapshot": snapshot,
        }
        path = os.path.join(self.settings.folder, f"{os.getpid()}.json")
        with open(path + ".part", "w") as file:
            json.dump(content, file)
        os.rename(path + ".part", path)

    def rank(self, name):
        """A number from the launcher's environment, else from the process group; `None` if neither has it."""
        value = os.environ.get(name, "")
        if value.isdigit():
            return int(value)
        distributed = sys.modules.get("torch.distributed")
        if distributed is None or not distributed.is_available() or not distributed.is_initialized():
            return None
        return {"RANK": distributed.get_rank, "WORLD_SIZE": distributed.get_world_size}.get(name, lambda: None)()

    def versions(self):
        """The versions of Python, torch, and those libraries that the program has imported."""
        found = {"python": sys.version.split()[0], "torch": str(self.torch.__version__)}
        for name in VERSIONS:
            version = getattr(sys.modules.get(name), "__version__", None)
            if isinstance(version, str):
                found[name] = version
        return found


def leave_out_own_frames(snapshot):
    """Removes the frames that are this hook's: it wraps PyTorch's kernels, and functions of libraries."""
    done = set()
    blocks = (block for segment in snapshot["segments"] for block in segment["blocks"])
    events = (event for trace in snapshot["device_traces"] for event in trace)
    for part in (blocks, events):
        for one in part:
            frames = one.get("frames")
            # Events with the same stack share one list.
            if frames and id(frames) not in done:
                done.add(id(frames))
                frames[:] = [frame for frame in frames if not frame["filename"].startswith(OWN)]
