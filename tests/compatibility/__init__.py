"""docs/compatibility.md is true: every word of it, on a running gateway."""
