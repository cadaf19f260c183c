"""Tests of app/http, one file per module."""
