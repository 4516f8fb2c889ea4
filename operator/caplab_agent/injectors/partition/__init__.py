"""Partition: packets from and to some addresses are dropped in a pod's network, until heal."""

from ...injector import FaultKind
from .addresses import Partition, partition_of
from .injector import PartitionInjector

PARTITION = FaultKind(Partition, partition_of, PartitionInjector.on)
