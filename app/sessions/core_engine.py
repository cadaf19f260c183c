"""SQLAlchemy's asynchronous engine without its ORM: 7 MiB and a tenth of a second of imports that nobody here needs.

``sqlalchemy.ext.asyncio`` imports the ORM for its sessions, and its engine needs none of it. So the package is entered
as it is found, but not executed before somebody wants something else of it, as an engine from another package may.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any, Final

_PACKAGE: Final = "sqlalchemy.ext.asyncio"
_lock: Final = RLock()
_found: Any = find_spec(_PACKAGE)


class _Unexecuted(ModuleType):
    """A package of which only submodules were imported yet."""

    def __getattr__(self, name: str) -> Any:
        if find_spec(f"{_PACKAGE}.{name}") is not None:
            raise AttributeError(name)  # so that it is imported
        with _lock:
            if isinstance(self, _Unexecuted):
                # From here on it is a module like any other, for those too whom its own code has import it.
                self.__class__ = ModuleType  # type: ignore[assignment]  # of the same layout
                _found.loader.exec_module(self)
        return getattr(self, name)


if _PACKAGE not in sys.modules:
    package = module_from_spec(_found)
    package.__class__ = _Unexecuted
    sys.modules[_PACKAGE] = package

from sqlalchemy.ext.asyncio.engine import AsyncConnection, AsyncEngine, create_async_engine  # noqa: E402 - as above

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine"]
