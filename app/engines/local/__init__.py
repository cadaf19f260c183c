"""The built-in engine ``local/smollm2``: a small language model in a supervised child process.

Owns the child (``child``), its life (``supervisor``) and the engine adapter (``engine``). Nothing is imported here, so
that an installation without the optional packages pays nothing and breaks on nothing.
"""
