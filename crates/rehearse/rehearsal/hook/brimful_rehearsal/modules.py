"""Which module asks for memory: its path in the model becomes what the allocator notes at each event (torch 2.10)."""
import threading

# What wrappers put into a path, and the program's author never wrote.
WRAPPERS = {"_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod"}


def attach(torch):
    note = getattr(torch._C, "_cuda_setMemoryMetadata", None)
    if note is None:
        return  # this torch notes nothing
    from torch.nn.modules import module

    within = Within(torch, note)
    module.register_module_forward_pre_hook(within.enter)
    # After an error, too: a program that goes on after one is outside of the module again.
    module.register_module_forward_hook(within.leave, always_call=True)


class Within:
    """The modules that a thread is in. Names are kept by number, since objects that are kept would move the moments at
    which Python collects garbage."""

    def __init__(self, torch, note):
        self.is_compiling = torch.compiler.is_dynamo_compiling
        self.note, self.noted = note, torch._C._cuda_getMemoryMetadata
        self.names = {}
        self.here = threading.local()

    def enter(self, module, arguments):
        if self.is_compiling():
            return
        here = self.here.__dict__
        outer = here.setdefault("outer", [])
        if not outer:
            here["root"] = module
        name = self.names.get(id(module))
        if name is None:
            self.learn(here["root"])
            name = self.names.get(id(module)) or self.learn(module)
        outer.append(self.noted())
        self.note(name)

    def leave(self, module, arguments, result):
        here = self.here.__dict__
        if self.is_compiling() or not here.get("outer"):
            return
        self.note(here["outer"].pop())
        if not here["outer"]:
            here["root"] = None

    def learn(self, root):
        """The names of a model's modules, which are told by where they are in it."""
        for path, module in root.named_modules():
            words = [word for word in path.split(".") if word not in WRAPPERS]
            self.names[id(module)] = ".".join(words[words[:1] == ["module"] :]) or type(root).__name__
        return self.names[id(root)]
