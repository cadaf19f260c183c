"""Large values without holding the event loop up: one thread beside it, and JSON read and written in short steps.

msgspec, like every JSON library, holds the interpreter's lock from the beginning of a call to its end, so that a thread
alone is no help: each single call has to be short. What makes calls long is the number of values (``structure`` counts
them) and the length of texts (``shortened`` takes those out, ``written`` puts them down piece by piece).
"""
