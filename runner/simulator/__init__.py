"""The service, simulated: a real HTTP server that draws real images, keeps real limits and misbehaves on demand.

`python -m runner.simulator` starts it; `runner.simulator.server` has the functions behind that.
It knows the service's schema (`schemas`) and nothing of the client.
"""
