"""Tests that the doors lead into one room: the same case through each of them comes to the same."""
