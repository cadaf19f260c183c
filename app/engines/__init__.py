"""What answers for an agent: the protocol and its implementations, one folder or file each."""
