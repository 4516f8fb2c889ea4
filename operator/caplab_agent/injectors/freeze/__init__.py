"""Freeze: every process of a pod stops where it is, until heal."""

from caplab.contract.objects import Freeze

from ...injector import FaultKind
from .injector import FreezeInjector

FREEZE = FaultKind(Freeze, lambda spec, _: Freeze.from_body(spec, "spec.freeze"), FreezeInjector.on)
