"""Who may come in, and how much of it: secrets, API keys and their limits, the lock-out of addresses that guess."""
