"""The contract, tested over the wire: schemathesis against real server processes, and the suite against broken ones."""
