"""Watching a gateway at work: metrics, traces, access lines, an audit log. Known to nobody but ``application``."""
