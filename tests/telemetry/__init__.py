"""Tests of what a gateway tells of itself: metrics, traces, lines."""
