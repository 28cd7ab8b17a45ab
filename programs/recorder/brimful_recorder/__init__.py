"""Records what a model's Python does with torch as a program (docs/programs.md)."""

# Counts what changes in recorded files; every file says with which recorder it was made.
__version__ = "2"
