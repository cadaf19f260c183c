"""Tests of the contract and of what is derived from it."""
