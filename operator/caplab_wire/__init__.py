"""How members are asked: in bounded time, and with no more read of an answer than a bound.

The standard library only, and no other package of the lab: the operator has it, and so has what runs beside a member.
"""
