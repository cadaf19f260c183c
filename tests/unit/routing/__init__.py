"""Tests of app/routing, one file per module."""
