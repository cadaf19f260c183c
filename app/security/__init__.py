"""Who may come in: the shared secret, the guard, and the lock-out of addresses that guess."""
