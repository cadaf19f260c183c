"""The other end of the gateway's WebSocket: what commands speak to a gateway with.

Its contract is contracts/asyncapi.yaml, like the door's. Knows neither runs nor terminals.
"""
