"""What docs/security.md promises, tried on gateways that really run."""
