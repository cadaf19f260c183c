"""The HTTP door: requests in, answers and event streams out. Nothing below this package knows HTTP."""
