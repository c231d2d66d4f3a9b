"""Who the people are: users, their roles (groups) and the teams whose costs they see."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User

from finops.core.models import TeamMember

if TYPE_CHECKING:  # generic for mypy alone
    Inline = admin.TabularInline[TeamMember, User]
    OfUsers = UserAdmin[User]
else:
    Inline, OfUsers = admin.TabularInline, UserAdmin


class TeamMembers(Inline):
    model = TeamMember
    extra = 1


class PeopleAdmin(OfUsers):
    inlines = (TeamMembers,)
    list_display = ("username", "email", "is_active", "is_superuser")


admin.site.unregister(User)
admin.site.register(User, PeopleAdmin)
admin.site.site_header = admin.site.site_title = "finops: people and roles"
