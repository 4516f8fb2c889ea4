"""What every command starts from: the machine, the options, and the engine chosen by them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from . import podman, toolchain
from .engine import ContainerEngine
from .machine.choose import EngineChoice, SetupOptions, choose_engine, options_from
from .machine.facts import Machine, inspect_machine
from .paths import Cache
from .progress import Progress
from .toolchain import GoBuilder, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupContext:
    """What every command starts from."""

    progress: Progress
    cache: Cache
    machine: Machine
    options: SetupOptions
    choice: EngineChoice

    @property
    def engine(self) -> ContainerEngine:
        """The engine, ready to be called."""
        if self.choice.name == "docker":
            return ContainerEngine("docker", self.choice.path, {})
        return podman.engine(self.choice, self.machine, self.cache)


def begin(progress: Progress, cache: Cache) -> SetupContext:
    """Inspect the machine and choose the engine."""
    options = options_from(os.environ)
    machine = inspect_machine(cache.root)
    return SetupContext(
        progress=progress, cache=cache, machine=machine, options=options, choice=choose_engine(machine, options)
    )


def built_tools(setup: SetupContext) -> Tools:
    """Return the tools as `make up` chose them, without building any."""
    builder = GoBuilder(setup.machine, setup.cache)
    return toolchain.tools_at(builder, toolchain.choose_tools(setup.machine))
