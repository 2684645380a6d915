"""What an interaction asks of whoever calls it."""

from dataclasses import dataclass

from hub.access import Caller
from subscriptions.scopes import ADMIN, Permission, scope


@dataclass(frozen=True, slots=True)
class Needs:
    """
    permissions: On resources of the type.
    type: Empty for the one in the path.
    admin: Only operators may.
    anybody: Whoever it is: nothing is asked, not even who calls.
    """

    permissions: tuple[Permission, ...] = ()
    type: str = ""
    admin: bool = False
    anybody: bool = False

    def lacking(self, caller: Caller, type_: str) -> str:
        """The scope that a caller lacks; empty if it lacks none. `type_`: The one in the path."""
        if self.admin and not caller.rights.scopes.admin:
            return ADMIN
        type_ = self.type or type_
        return "" if caller.rights.scopes.allow(type_, *self.permissions) else scope(type_, *self.permissions)

    def __str__(self) -> str:
        """The scope, as the documentation has it."""
        if self.admin:
            return ADMIN
        return scope(self.type or "{type}", *self.permissions) if self.permissions else ""


#: What holds nothing of anybody's.
ANYBODY = Needs(anybody=True)

#: A client, of whom the handler asks for the rest: it depends on the body.
KNOWN = Needs()

OPERATOR = Needs(admin=True)


def needs(letters: str, type_: str = "") -> Needs:
    """SMART's letters, such as `rs`. `type_`: Empty for the type in the path."""
    return Needs(tuple(map(Permission, letters)), type_)
