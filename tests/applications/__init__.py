"""Whole applications, installed from their packages and driven for real. Run by `make clients`, not by `make test`.

They need pip and npm with their registries, once; Node 20 or newer; Chromium; and some 3 GB in `build/clients`.
"""
