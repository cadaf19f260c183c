"""Tests of app/security, one file per module."""
