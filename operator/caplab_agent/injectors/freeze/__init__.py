"""Freeze: every process of a pod stops where it is, until heal."""

from caplab.contract.objects import Freeze

from ...injector import FaultKind
from .injector import FreezeInjector

FREEZE = FaultKind(Freeze, lambda freeze, _: freeze, FreezeInjector.on)
