"""
What a client may do with which resource types, as SMART has it: `system/Immunization.cr`. The permissions of SMART 1,
`.read`, `.write` and `.*`, mean `.rs`, `.cud` and all five.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Self

#: The scope of operators: for what is no FHIR resource.
ADMIN = "hub/admin"

#: Stands for every resource type but those that have to be named.
EVERY = "*"

#: Types that `*` does not mean: they tell of other clients.
BY_NAME = frozenset({"AuditEvent"})

#: Types of which each is named, instead of all.
NAMED = 20

_SCOPE = re.compile(r"system/([A-Z][A-Za-z]{0,63}|\*)\.((?=.)c?r?u?d?s?|read|write|\*)")
_OF_SMART_1 = {"read": "rs", "write": "cud", "*": "cruds"}


class Permission(StrEnum):
    """The interactions of SMART 2: create, read, update, delete, search."""

    CREATE = "c"
    READ = "r"
    UPDATE = "u"
    DELETE = "d"
    SEARCH = "s"


Permissions = frozenset[Permission]
NO_PERMISSIONS: Permissions = frozenset()


@dataclass(frozen=True, slots=True)
class Scopes:
    """
    What a client may.

    by_type: Permissions by resource type; EVERY is one.
    admin: Whether it is an operator.
    """

    by_type: Mapping[str, Permissions]
    admin: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """What an operator writes, joined by blanks. ValueError names the first part that is no scope of the hub's."""
        if wrong := next((part for part in text.split() if part != ADMIN and not _SCOPE.fullmatch(part)), None):
            example = f"such as system/Immunization.cr, system/*.rs or {ADMIN}"
            raise ValueError(f"{wrong[:100]} is no scope that the hub knows, {example}")
        return cls.granted(text)

    @classmethod
    def granted(cls, text: str) -> Self:
        """
        What a token says, joined by blanks. What the hub doesn't know grants nothing: `patient/…`, `user/…`, and
        `system/…?…`, whose search it would not heed.
        """
        by_type: dict[str, Permissions] = {}
        for found in filter(None, map(_SCOPE.fullmatch, text.split())):
            letters = _OF_SMART_1.get(found[2], found[2])
            by_type[found[1]] = by_type.get(found[1], NO_PERMISSIONS) | frozenset(map(Permission, letters))
        return cls(MappingProxyType(by_type), ADMIN in text.split())

    def of(self, type_: str) -> Permissions:
        """What may be done with resources of a type."""
        own = self.by_type.get(type_, NO_PERMISSIONS)
        return own if type_ in BY_NAME else own | self.by_type.get(EVERY, NO_PERMISSIONS)

    def allow(self, type_: str, *permissions: Permission) -> bool:
        """Whether all of this may be done with resources of a type."""
        return self.of(type_).issuperset(permissions)

    def lacking(self, types: Iterable[str], permission: Permission) -> tuple[str, ...]:
        """The scopes that are lacking to do something with resources of all these types, sorted; `*` for many."""
        lacking = {each for each in types if not self.allow(each, permission)}
        if len(lacking) > NAMED:
            lacking = {EVERY} | (lacking & BY_NAME)
        return tuple(scope(each, permission) for each in sorted(lacking))

    def __and__(self, other: "Scopes") -> "Scopes":
        """What both allow."""
        types = self.by_type.keys() | other.by_type.keys()
        both = {type_: self.of(type_) & other.of(type_) for type_ in types}
        return Scopes(
            MappingProxyType({type_: found for type_, found in both.items() if found}), self.admin and other.admin
        )

    def __str__(self) -> str:
        written = [scope(type_, *self.by_type[type_]) for type_ in sorted(self.by_type)]
        return " ".join([*written, *([ADMIN] if self.admin else [])])


def scope(type_: str, *permissions: Permission) -> str:
    """The scope that allows this, as a client has to ask for it."""
    return f"system/{type_}." + "".join(each for each in Permission if each in permissions)


#: Whoever reaches a hub that tells nobody apart.
ALL = Scopes.parse(f"system/*.cruds system/AuditEvent.rs {ADMIN}")
