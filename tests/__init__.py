"""What the gateway promises, as tests."""
