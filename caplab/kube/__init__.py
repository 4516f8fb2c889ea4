"""The way to the API server, for every part of the lab.

`context` chooses the server and guards the choice, `client` makes the calls, each within `limits`, `errors` says why
one failed, and `watcher` keeps a list of objects up to date.
"""
