"""Requests to members, with bounds on the time that an answer takes and on the bytes that are read of it.

It uses only the standard library and no other package of the lab, since the code that runs beside a member uses it too.
"""
