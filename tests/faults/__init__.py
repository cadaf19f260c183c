"""Gateways killed and started again at random, while many clients talk: nothing acknowledged is lost or doubled."""
