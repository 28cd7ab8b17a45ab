"""What is known of this process, and how it is handed over: one JSON file, and one snapshot of its memory."""
import json
import os
import sys

from . import marks

# What a process is asked to say of its memory, in PyTorch's words.
LEDGERS = {"requested": "requested_bytes", "allocated": "allocated_bytes", "active": "active_bytes", "reserved": "reserved_bytes"}
VERSIONS = ("transformers", "accelerate", "peft", "bitsandbytes", "deepspeed", "lightning", "trl", "diffusers", "timm", "vllm", "sglang")


def say(text):
    print("brimful: " + text, file=sys.stderr, flush=True)


class Record:
    def __init__(self, torch, settings):
        self.torch = torch
        self.folder = settings["folder"]
        self.process = os.getpid()
        self.peaks = {}
        self.counts = {}
        self.failures = []
        self.error = None
        self.notes = []
        self.steps = 0
        self.optimizers = []
        self.marks = marks.Marks()
        self.serving = None
        self.recording = False
        self.written = False

    def begin(self):
        """So that a process that is killed is known, too."""
        self.hand_over("running")

    def refuse(self):
        """The process cannot be rehearsed: torch computes on the CPU or an AMD GPU only."""
        self.hand_over("refused")
        os._exit(2)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
            say(text)
            if not self.written:
                self.hand_over("running")  # so that one that is killed has said it

    def say(self, text):
        say(text)

    def serve(self, engine, **figures):
        """What a serving engine tells of itself; what it does not tell is left out."""
        self.serving = self.serving or {"engine": engine}
        self.serving.update({name: value for name, value in figures.items() if value is not None})

    def keep_error(self, error):
        self.error = {"type": type(error).__name__, "message": str(error)[:20000]}

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

    def devices(self):
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
        """A fork of a process that had initialised CUDA holds a copy of its parent's numbers, and none of its own."""
        cuda = self.torch.cuda
        return cuda.is_initialized() and not cuda._is_in_bad_fork()

    def is_finishing(self):
        return self.written and self.process == os.getpid()

    def finish(self, how):
        """Writes the record, once for each process."""
        if self.is_finishing():
            return
        self.process, self.written = os.getpid(), True
        if not self.used_cuda():
            self.hand_over(how)
            return
        import gc

        gc.disable()
        devices = list(self.devices())
        snapshot = None
        if self.recording and devices:
            snapshot = f"{self.process}.pickle"
            self.snapshot(snapshot, devices)
        self.hand_over(how, devices, snapshot)
        gc.enable()

    def snapshot(self, name, devices):
        """The history of this process, as `torch.cuda.memory._dump_snapshot` writes it."""
        import pickle

        whole = os.path.join(self.folder, name)
        content = self.torch.cuda.memory._snapshot()
        ranges = list(content.get("external_annotations", ()))
        for device in devices:
            ranges += [{**mark, "device": device["device"]} for mark in self.marks.annotations()]
        content["external_annotations"] = sorted(ranges, key=lambda one: one["time_us"])
        with open(whole + ".part", "wb") as file:
            pickle.dump(content, file, protocol=4)
        os.rename(whole + ".part", whole)

    def hand_over(self, how, devices=(), snapshot=None):
        said = {
            "pid": os.getpid(),
            "ended": how,
            "argv": list(getattr(sys, "orig_argv", sys.argv)),
            "rank": self.rank("RANK"),
            "local_rank": self.rank("LOCAL_RANK"),
            "world_size": self.rank("WORLD_SIZE"),
            "versions": self.versions(),
            "torch_cuda": self.torch.version.cuda,
            "torch_hip": getattr(self.torch.version, "hip", None),
            "steps": self.steps,
            "optimizers": self.optimizers,
            "devices": list(devices),
            "failures": self.failures,
            "error": self.error,
            "notes": self.notes,
            "serving": self.serving,
            "snapshot": snapshot,
        }
        whole = os.path.join(self.folder, f"{os.getpid()}.json")
        with open(whole + ".part", "w") as file:
            json.dump(said, file)
        os.rename(whole + ".part", whole)

    def rank(self, name):
        """From the launcher's environment, or from the process group."""
        value = os.environ.get(name, "")
        if value.isdigit():
            return int(value)
        distributed = sys.modules.get("torch.distributed")
        if distributed is None or not distributed.is_available() or not distributed.is_initialized():
            return None
        return {"RANK": distributed.get_rank, "WORLD_SIZE": distributed.get_world_size}.get(name, lambda: None)()

    def versions(self):
        found = {"python": sys.version.split()[0], "torch": str(self.torch.__version__)}
        for name in VERSIONS:
            version = getattr(sys.modules.get(name), "__version__", None)
            if isinstance(version, str):
                found[name] = version
        return found
