"""Tests of app/runs, one file per module."""
