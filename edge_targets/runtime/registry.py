"""Find the members of a package by their file names."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Generic, TypeVar

from edge_targets.runtime.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """The members of one package: each module in it defines one subclass of `base`.

    The module's name is the member's name: adding a file adds a member. Listing imports
    nothing; a member's module is imported when it is asked for. `base.py`, and modules whose
    name starts with an underscore, are no members.
    """

    def __init__(self, package: str, base: type[T], kind: str = "") -> None:
        self.package = package
        self.base = base
        self.kind = kind or base.__name__.lower()

    def names(self) -> list[str]:
        path = import_module(self.package).__path__
        found = (module.name for module in iter_modules(path))
        return sorted(name for name in found if name != "base" and not name.startswith("_"))

    def __getitem__(self, name: str) -> type[T]:
        if name not in self.names():
            raise UnknownNameError(self.kind, name, self.names())
        module = import_module(f"{self.package}.{name}")
        [member] = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, self.base)
            and value.__module__ == module.__name__
        ]
        return member

    @staticmethod
    def name_of(member: object) -> str:
        """The registered name of a member or of an instance of one."""
        cls = member if isinstance(member, type) else type(member)
        return cls.__module__.rpartition(".")[2]
