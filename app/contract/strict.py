"""Base of the structs whose schema says `additionalProperties: false`.

The generator knows no other way to write that down; contracts/generate.py lists which schemas get this base.
"""

import msgspec


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """Refuse fields that the schema does not name."""
