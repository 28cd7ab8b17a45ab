"""`python -m brimful_recorder MODEL_TYPE…`, or `--all`."""

import argparse
import os
import re
import signal
import sys
import time
import warnings
from pathlib import Path

# Where the binary takes programs from.
_DATA = Path(__file__).resolve().parents[3] / "crates" / "facts" / "programs" / "data"


def main():
    """Records the types that the command line names."""
    parser = argparse.ArgumentParser(prog="brimful_recorder", description="Record model types as programs.")
    parser.add_argument("model_type", nargs="*")
    parser.add_argument("--library", help="the library of the models, where it is torchvision or diffusers")
    parser.add_argument("--task", default="causal-lm", help="what the models are called for; the default is causal-lm")
    parser.add_argument("--all", action="store_true", help="every type of the installed transformers for the task")
    parser.add_argument("--out", help="the folder that the programs are written to; the default is the binary's")
    parser.add_argument("--table", help="a Markdown file that gets the outcome of each type")
    parser.add_argument("--limit", type=int, default=600, help="seconds that one type may take")
    options = parser.parse_args()
    if options.all and options.model_type:
        parser.error("--all records every type; leave out the names, or leave out --all")
    warnings.filterwarnings("ignore")
    import torch

    if options.library:
        sys.exit(_elsewhere(parser, options))
    import transformers

    from .tasks import TASKS

    task = TASKS[options.task]

    # The tensors are so small that a second thread only costs time.
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    version = ".".join(transformers.__version__.split(".")[:2])
    folder = Path(options.out or _DATA / f"transformers-{version}")
    # Names that a shell takes from the output of another command may hold words of its messages.
    if unknown := [name for name in options.model_type if name not in task.types]:
        named = ", ".join(map(repr, unknown))
        parser.error(f"transformers has no type {named} for {task.name}; --all records every type that it has")
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = _known(options.table, task.types, folder)
    for model_type in list(task.types) if options.all else options.model_type:
        started = time.monotonic()
        outcomes[model_type] = _apart(model_type, task, folder, options.limit)
        print(f"{model_type}: {outcomes[model_type]} ({time.monotonic() - started:.1f} s)", flush=True)
        if options.table:
            Path(options.table).write_text(_table(outcomes, task, transformers.__version__))
    sys.exit(any(not outcomes[model_type].startswith("recorded") for model_type in options.model_type))


def _elsewhere(parser, options):
    """Records models of another library; returns whether one of them was refused."""
    import torch

    from .elsewhere import LIBRARIES, write

    torch.set_num_threads(1)
    if options.library not in LIBRARIES:
        parser.error(f"--library is {options.library!r}; it is one of {', '.join(LIBRARIES)}")
    family = LIBRARIES[options.library]()
    if unknown := [name for name in options.model_type if name not in family.names]:
        parser.error(f"{options.library} has no model {', '.join(map(repr, unknown))}; --all records every one")
    version = ".".join(family.library.__version__.split("+")[0].split(".")[:2])
    folder = Path(options.out or _DATA / f"{options.library}-{version}")
    folder.mkdir(parents=True, exist_ok=True)
    refused = False
    for name in family.names if options.all else options.model_type:
        try:
            write(family, name, folder)
            outcome = "recorded"
        except Exception as error:  # noqa: BLE001 - one model must not keep the others from being recorded
            outcome = f"refused: {type(error).__name__}: {str(error)[:300]}"
            refused = True
        print(f"{name}: {outcome}", flush=True)
    return refused


def _known(table, types, folder):
    """The outcomes of an earlier table, which the types that are recorded now replace.

    Only types that transformers has get a row. A type that has a program was recorded, whatever the earlier table says.
    """
    outcomes = dict.fromkeys(types, "not tried yet")
    if table and Path(table).exists():
        rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", Path(table).read_text(), re.MULTILINE)
        outcomes |= {name: outcome.replace("\\|", "|") for name, outcome in rows if name in outcomes}
    for name, outcome in outcomes.items():
        program = folder / f"{name}.program"
        if not outcome.startswith("recorded") and program.exists():
            version = re.search(r"^recorded .* recorder (\d+)$", program.read_text(), re.MULTILINE)
            outcomes[name] = f"recorded by version {version.group(1) if version else 0} of the recorder"
    return outcomes


def _apart(model_type, task, folder, limit):
    """Records one type in a process of its own, so that nothing of it reaches the next; says how it went."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(limit)
        os.write(writer, _outcome(model_type, task, folder).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said or f"refused: the recording did not end within {limit} s"


def _outcome(model_type, task, folder):
    from .program import write

    try:
        _, notes = write(model_type, task, folder)
    except Exception as error:  # noqa: BLE001 - one type must not keep the others from being recorded
        first = (str(error).splitlines() or [""])[0]
        return f"refused: {type(error).__name__}: {first[:300]}"
    return "recorded" + "".join(f"; without {note}" for note in notes)


def _table(outcomes, task, version):
    rows = []
    for model_type, outcome in sorted(outcomes.items()):
        text = " ".join(outcome.split()).replace("|", "\\|")
        rows.append(f"| `{model_type}` | {text} |")
    count = sum(outcome.startswith("recorded") for outcome in outcomes.values())
    head = [
        f"# Types of transformers {version} for {task.name}\n",
        f"{count} of {len(rows)} types have a program. The recorder wrote this table ([programs.md](programs.md)).\n",
        "| type | outcome |",
        "|---|---|",
    ]
    return "\n".join(head + rows) + "\n"


if __name__ == "__main__":
    main()
