"""Tests of app/ws, as far as it needs no server."""
