"""The local model's process: its protocol, its life, and the real model inside it."""
