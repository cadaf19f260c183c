"""Engines, seen through the gateway's own port."""
