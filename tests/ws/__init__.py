"""Tests of the WebSocket door, from outside: a real server, a real port, real frames."""
