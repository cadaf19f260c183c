"""What is derived from the contract, or stands beside it."""
