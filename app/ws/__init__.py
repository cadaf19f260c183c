"""The WebSocket door: the OpenClaw gateway protocol, version 4 and 3, on the same port and to the same runs as HTTP.

Its contract is contracts/asyncapi.yaml. Nothing below this package knows frames.
"""
