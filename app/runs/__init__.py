"""One run: what an agent does with one request, whichever door it came in by."""
