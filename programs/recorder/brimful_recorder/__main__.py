"""`python -m brimful_recorder MODEL_TYPE… --out FOLDER`."""

import argparse
import sys
import time
import warnings


def main():
    """Records the types that the command line names."""
    parser = argparse.ArgumentParser(prog="brimful_recorder", description="Record model types as programs.")
    parser.add_argument("model_type", nargs="+")
    parser.add_argument("--out", default=".", help="the folder that the programs are written to")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    import torch
    import transformers

    # The tensors are so small that a second thread only costs time.
    torch.set_num_threads(1)
    from .program import write

    transformers.logging.set_verbosity_error()
    failed = 0
    for model_type in options.model_type:
        started = time.monotonic()
        try:
            path, notes = write(model_type, options.out)
            print(f"{model_type}: {path} ({time.monotonic() - started:.1f} s)", flush=True)
            for note in notes:
                print(f"  {note}", flush=True)
        except Exception as error:  # noqa: BLE001 - one type must not keep the others from being recorded
            failed += 1
            first = (str(error).splitlines() or [""])[0]
            print(f"{model_type}: {type(error).__name__}: {first[:300]}", file=sys.stderr, flush=True)
    sys.exit(1 if failed else 0)


main()
