"""The JSON Schema of the configuration, as the generator left it: contracts/zero.schema.json.

Owns where the file is. Nothing here is checked against it: the structs decide (``structs``, ``decoding``).
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_NAME = "zero.schema.json"


def json_schema(folder: Path = _HERE) -> str:
    """Read the schema.

    Args:
        folder: Where it is when installed; in a checkout it is in contracts/, two folders up.

    Returns:
        Its text, without the last line end.
    """
    packaged = folder / _NAME
    file = packaged if packaged.is_file() else folder.parents[1] / "contracts" / _NAME
    return file.read_text(encoding="utf-8").rstrip("\n")
