"""Kill: every process of a member's containers ends, and with keepDown it stays down until heal."""

from caplab.contract.objects import Kill

from ...injector import FaultKind
from .injector import KillInjector, kill_of

KILL = FaultKind(Kill, kill_of, KillInjector.on)
