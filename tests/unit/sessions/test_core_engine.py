"""SQLAlchemy's asynchronous engine comes without what nobody here uses; others still find the whole of it."""

from __future__ import annotations

import subprocess
import sys


def said(program: str) -> str:
    """Return what a program prints, in a process that has imported nothing yet."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_a_store_in_a_file_imports_neither_the_orm_nor_postgresql() -> None:
    """Of SQLAlchemy only what SQLite needs is in memory."""
    program = (
        "import sys, app.sessions.sqlite\n"
        "print([name for name in ('sqlalchemy.orm', 'sqlalchemy.dialects.postgresql') if name in sys.modules])"
    )
    assert "[]" == said(program)


def test_an_engine_from_elsewhere_finds_the_whole_package() -> None:
    """Who wants SQLAlchemy's asynchronous sessions gets them, with the engine that we have."""
    program = (
        "import app.sessions.sqlite\n"
        "from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker\n"
        "from app.sessions import core_engine\n"
        "print(AsyncSession.__module__, AsyncEngine is core_engine.AsyncEngine, async_sessionmaker.__name__)"
    )
    assert "sqlalchemy.ext.asyncio.session True async_sessionmaker" == said(program)


def test_who_imported_the_whole_package_before_keeps_it() -> None:
    """What is there already is used as it is."""
    program = (
        "import sqlalchemy.ext.asyncio as whole, sys\n"
        "from app.sessions import core_engine\n"
        "print(sys.modules['sqlalchemy.ext.asyncio'] is whole, core_engine.AsyncEngine is whole.AsyncEngine)"
    )
    assert "True True" == said(program)
