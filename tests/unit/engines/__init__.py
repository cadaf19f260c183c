"""Tests of app/engines, one file per module."""
