"""Notes the current module's path in the model at each event of the allocator, and marks parameters (torch 2.10 on)."""

import threading

# Parts of a path that wrappers add, and that the program's author never wrote.
WRAPPERS = {"_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod"}


# PyTorch's registers of hooks on all modules.
REGISTERS = (
    "_global_backward_pre_hooks",
    "_global_backward_hooks",
    "_global_forward_pre_hooks",
    "_global_forward_hooks",
    "_global_forward_hooks_always_called",
    "_global_forward_hooks_with_kwargs",
)


def attach(torch, marks):
    """Notes modules, if this torch has a place for the note."""
    note = getattr(torch._C, "_cuda_setMemoryMetadata", None)
    if note is None:
        return
    from torch.nn.modules import module

    modules = CurrentModules(torch, note, marks)
    before = module.register_module_forward_pre_hook(modules.enter)
    # After an error, too: a program that catches it is outside of the module again.
    after = module.register_module_forward_hook(modules.leave, always_call=True)
    keep_quiet(module, {before.id, after.id})


def keep_quiet(module, own):
    """PyTorch warns of hooks on all modules when one is compiled. It is to warn of the program's own hooks alone."""
    if not hasattr(module, "_has_any_global_hook"):
        return

    def _has_any_global_hook():
        return any(set(getattr(module, name, ())) - own for name in REGISTERS)

    module._has_any_global_hook = _has_any_global_hook


class CurrentModules:
    """The modules whose forward a thread is in. Names are kept by the number of the module: Python's garbage collector
    counts objects, and would run at other moments if more of them were kept.
    """

    def __init__(self, torch, note, marks):
        self.is_compiling = torch.compiler.is_dynamo_compiling
        self.note, self.noted = note, torch._C._cuda_getMemoryMetadata
        self.names, self.marks = {}, marks
        # Models whose parameters are to be marked, by their number, once their first forward has ended.
        self.unmarked = set()
        self.local = threading.local()

    def enter(self, module, args):
        """Notes the module whose forward begins; keeps the note before."""
        if self.is_compiling():
            return
        local = self.local.__dict__
        outer = local.setdefault("outer", [])
        if not outer:
            local["root"] = module
        name = self.names.get(id(module))
        if name is None:
            self.learn(local["root"])
            name = self.names.get(id(module)) or self.learn(module)
        outer.append(self.noted())
        self.note(name)

    def leave(self, module, args, result):
        """Restores the note from before the forward that ends."""
        local = self.local.__dict__
        if self.is_compiling() or not local.get("outer"):
            return
        self.note(local["outer"].pop())
        if not local["outer"]:
            local["root"] = None
            if id(module) in self.unmarked:
                self.unmarked.discard(id(module))
                self.marks.add_model(module)

    def learn(self, root):
        """Learns the names of a model's modules, which are their paths in it. Returns the model's own name."""
        self.unmarked.add(id(root))
        for path, module in root.named_modules():
            words = [word for word in path.split(".") if word not in WRAPPERS]
            # DistributedDataParallel holds the model as `module`.
            self.names[id(module)] = ".".join(words[words[:1] == ["module"] :]) or type(root).__name__
        return self.names[id(root)]
