"""One suite for every session store: what is promised holds on SQLite and on a real PostgreSQL alike."""
