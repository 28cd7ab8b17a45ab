"""Records what a model's Python does with torch as a program (docs/programs.md)."""
