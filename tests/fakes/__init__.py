"""Stand-ins for what cannot be run here: services that misbehave on purpose. They have tests of their own."""
