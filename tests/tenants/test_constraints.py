"""What the database itself refuses, whoever asks: another tenant's rows, and doubles."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from billing.models import Budget
from tenants import keys
from tenants.models import CACHE_SECONDS_MAX, ApiKey, Member, Project, Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return Tenant.objects.create(slug="acme", name="Acme")


@pytest.fixture
def globex():
    return Tenant.objects.create(slug="globex", name="Globex")


def key_of(tenant, **fields):
    minted = keys.mint("pepper")
    return ApiKey.objects.create(
        **{
            "tenant": tenant,
            "name": "CI",
            "prefix": minted.prefix,
            "digest": minted.digest,
            **fields,
        }
    )


def refused(constraint):
    """The block must break `constraint`, deferred ones included."""
    return Refused(constraint)


class Refused:
    def __init__(self, constraint):
        self._caught = pytest.raises(IntegrityError, match=constraint)
        self._savepoint = transaction.atomic()

    def __enter__(self):
        self._caught.__enter__()
        self._savepoint.__enter__()

    def __exit__(self, *exception):
        if exception[0] is None:
            with connection.cursor() as cursor:
                try:
                    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                except IntegrityError as error:
                    exception = (type(error), error, error.__traceback__)
        self._savepoint.__exit__(*exception)
        return self._caught.__exit__(*exception)


def test_it_works(acme):
    project = Project.objects.create(tenant=acme, slug="web", name="Web")
    assert key_of(acme, project=project).project == project


def test_a_key_cannot_name_a_strangers_project(acme, globex):
    theirs = Project.objects.create(tenant=globex, slug="web", name="Web")
    with refused("api_key_project_of_tenant"):
        key_of(acme, project=theirs)


def test_a_key_cannot_move_to_a_stranger_and_keep_its_project(acme, globex):
    ours = key_of(acme, project=Project.objects.create(tenant=acme, slug="web", name="Web"))
    with refused("api_key_project_of_tenant"):
        ApiKey.objects.filter(pk=ours.pk).update(tenant=globex)


def test_a_project_cannot_move_under_its_keys(acme, globex):
    project = Project.objects.create(tenant=acme, slug="web", name="Web")
    key_of(acme, project=project)
    with refused("api_key_project_of_tenant"):
        Project.objects.filter(pk=project.pk).update(tenant=globex)


def test_a_budget_cannot_name_a_strangers_project_or_key(acme, globex):
    theirs = Project.objects.create(tenant=globex, slug="web", name="Web")
    with refused("budget_project_of_tenant"):
        Budget.objects.create(tenant=acme, project=theirs, limit_pico=1)
    with refused("budget_api_key_of_tenant"):
        Budget.objects.create(tenant=acme, api_key=key_of(globex), limit_pico=1)


def test_a_budget_has_one_scope(acme):
    project = Project.objects.create(tenant=acme, slug="web", name="Web")
    with refused("budget_has_one_scope"):
        Budget.objects.create(tenant=acme, project=project, api_key=key_of(acme), limit_pico=1)


def test_two_tenants_may_use_one_slug_for_their_projects(acme, globex):
    Project.objects.create(tenant=acme, slug="web", name="Web")
    Project.objects.create(tenant=globex, slug="web", name="Web")
    with refused("project_slug_in_tenant"):
        Project.objects.create(tenant=acme, slug="web", name="Another")


def test_no_two_keys_share_a_digest_or_a_prefix(acme, globex):
    first = key_of(acme)
    with refused("digest"):
        key_of(globex, digest=first.digest)
    with refused("prefix"):
        key_of(globex, prefix=first.prefix)


def test_a_key_has_a_name(acme):
    with refused("api_key_has_a_name"):
        key_of(acme, name="")


@pytest.mark.parametrize("seconds", [0, CACHE_SECONDS_MAX + 1])
def test_a_key_keeps_answers_within_bounds(acme, seconds):
    key_of(acme, cache_seconds=CACHE_SECONDS_MAX)
    with refused("api_key_caches_within_bounds"):
        key_of(acme, cache_seconds=seconds)


def test_a_person_is_a_member_once(acme):
    user = User.objects.create(username="alice")
    Member.objects.create(tenant=acme, user=user)
    with refused("member_once_per_tenant"):
        Member.objects.create(tenant=acme, user=user, role=Member.Role.OWNER)
