"""What is broken on purpose: each test is named after a promise of docs/security.md."""
