"""Who may see what: roles are Django groups, owners see the teams they belong to."""

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group

from finops.core.models import TeamMember

FINANCE, OWNER, ENGINEER = "finance", "owner", "engineer"
ROLES = (FINANCE, OWNER, ENGINEER)  # admin is Django's superuser


@dataclass(frozen=True)
class Scope:
    """The teams whose costs a reader sees; None: all of them, and what has no team."""

    teams: frozenset[str] | None = None

    def sees(self, team: str) -> bool:
        return self.teams is None or team in self.teams


EVERYTHING = Scope()


def roles_of(user: AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    """The role names of a user; a superuser has them all."""
    if not user.is_authenticated:
        return frozenset()
    if getattr(user, "is_superuser", False):
        return frozenset({*ROLES, "admin"})
    return frozenset(Group.objects.filter(user__pk=user.pk, name__in=ROLES).values_list("name", flat=True))


def scope_of(user: AbstractBaseUser | AnonymousUser) -> Scope:
    """Finance, engineers and admins see everything; anybody else only the own teams."""
    if roles_of(user) & {FINANCE, ENGINEER, "admin"}:
        return EVERYTHING
    if not user.is_authenticated:
        return Scope(frozenset())
    return Scope(frozenset(TeamMember.objects.filter(user_id=user.pk).values_list("team", flat=True)))
