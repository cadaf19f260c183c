"""Programs that the suite gets for itself, each in a folder under ``build/benchmarks``."""
