"""People: who may sign in here, and who belongs to which tenant."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as PlainGroupAdmin
from django.contrib.auth.admin import UserAdmin as PlainUserAdmin
from django.contrib.auth.models import Group, User
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from runestone.admin.parts import DeskAdmin
from tenants.models import Member

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(PlainUserAdmin, DeskAdmin):  # type: ignore[type-arg]  # not generic at run time
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "first_name", "last_name", "is_staff", "last_login")


@admin.register(Group)
class GroupAdmin(PlainGroupAdmin, DeskAdmin):
    pass


@admin.register(Member)
class MemberAdmin(DeskAdmin):
    list_display = ("user", "tenant", "role", "created")
    list_filter = (("role", ChoicesDropdownFilter), ("tenant", AutocompleteSelectFilter))
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "user__email", "tenant__name")
    search_help_text = "User or tenant"
    autocomplete_fields = ("tenant", "user")
    ordering = ("tenant", "user")
