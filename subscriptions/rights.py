"""What a client may do, and what it may be told."""

from dataclasses import dataclass, replace

from subscriptions.clearance import FULL, NORMAL, Clearance
from subscriptions.codes import Content
from subscriptions.scopes import ALL, Scopes


@dataclass(frozen=True, slots=True)
class Rights:
    """
    content: The most that notifications tell it.
    """

    scopes: Scopes
    content: Content = Content.ID_ONLY
    clearance: Clearance = NORMAL

    def within(self, scopes: Scopes) -> "Rights":
        """The same for somebody who may only do what these scopes allow too."""
        return replace(self, scopes=self.scopes & scopes)

    def tell(self, content: Content) -> bool:
        """Whether notifications may tell so much."""
        return content.within(self.content) is content


#: Those of whoever isn't known.
NO_RIGHTS = Rights(Scopes.granted(""), Content.EMPTY)

#: Those of whoever reaches a hub that tells nobody apart.
EVERYTHING = Rights(ALL, Content.FULL_RESOURCE, FULL)
