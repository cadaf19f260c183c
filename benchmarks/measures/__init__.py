"""What is measured: a module for each kind, with functions that take a standing target and return values by name."""
