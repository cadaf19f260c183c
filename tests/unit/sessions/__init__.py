"""Tests of app/sessions, one file per module."""
