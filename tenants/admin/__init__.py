"""The pages of tenants, projects, people and API keys."""

from tenants.admin.keys import ApiKeyAdmin
from tenants.admin.people import GroupAdmin, MemberAdmin, UserAdmin
from tenants.admin.tenants import ProjectAdmin, TenantAdmin

__all__ = ["ApiKeyAdmin", "GroupAdmin", "MemberAdmin", "ProjectAdmin", "TenantAdmin", "UserAdmin"]
