"""Who may come in, and how much may be used: secrets, API keys and their limits, the lock-out of addresses that guess."""
