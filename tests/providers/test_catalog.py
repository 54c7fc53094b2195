"""The catalogue as it is read from a real Postgres."""

import asyncio
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError

from providers.catalog import Catalog, unknown
from providers.models import Alias, Credential, Model, Route, Upstream
from runestone.lib.database import Connection, conninfo
from tenants.models import Tenant


@pytest.fixture
def rows(live):
    """Makes rows of this test's own and takes them away again."""
    made = Rows()
    yield made
    for each in reversed(made.all):
        each.delete()


class Rows:
    def __init__(self):
        self.all = []
        self.suffix = uuid4().hex[:8]

    def upstream(self, name="vendor", *, secret="sk-vendor", **fields):
        made = Upstream.objects.create(
            slug=f"{name}-{self.suffix}",
            name=name,
            **{"dialect": "openai", "base_url": "https://vendor.test/v1", **fields},
        )
        self.all.append(made)
        if secret:
            made.add_credential(secret)
        return made

    def tenant(self, name):
        made = Tenant.objects.create(slug=f"{name}-{self.suffix}", name=name)
        self.all.append(made)
        return made

    def model(self, name="model", **fields):
        made = Model.objects.create(name=f"{name}-{self.suffix}", **fields)
        self.all.append(made)
        return made

    def route(self, model, upstream, **fields):
        given = {"upstream_model": "their-name", **fields}
        made = Route.objects.create(model=model, upstream=upstream, **given)
        self.all.append(made)
        return made


def only(name):
    """The one model that this can mean."""
    [model] = read().named(name)
    return model


def read():
    """A catalogue, freshly read."""

    async def reloaded():
        connection = Connection(conninfo(settings.DATABASES["default"]))
        catalog = Catalog()
        await catalog.reload(connection)
        await connection.close()
        return catalog

    return asyncio.run(reloaded())


def test_it_works(rows):
    upstream = rows.upstream(quirks={"drop_fields": ["n"]})
    model = rows.model(
        family="f", owned_by="o", capabilities=["chat", "tools"],
        context_window=1_000, max_output_tokens=100,
    )  # fmt: skip
    rows.route(model, upstream, priority=7, weight=3)

    found = only(model.name)

    assert (found.name, found.family, found.owned_by) == (model.name, "f", "o")
    assert found.capabilities == ("chat", "tools")
    assert (found.context_window, found.max_output_tokens) == (1_000, 100)
    [target] = found.targets
    assert (target.upstream, target.dialect) == (upstream.slug, "openai")
    assert target.base_url == "https://vendor.test/v1"
    assert [(key.tenant_id, key.secret) for key in target.keys] == [(None, "sk-vendor")]
    assert (target.model, target.upstream_model) == (model.name, "their-name")
    assert (target.priority, target.weight, target.quirks.drop_fields) == (7, 3, {"n"})


def test_an_unknown_model_is_refused_in_openais_words(live):
    assert not read().named("no-such-model")
    assert unknown("no-such-model").body()["error"] == {
        "message": "The model `no-such-model` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }


def test_models_are_in_order_of_name(rows):
    upstream = rows.upstream()
    for name in ("b", "a", "c"):
        rows.route(rows.model(name), upstream)
    names = [model.name for model in read().models()]
    assert [name for name in names if name.endswith(rows.suffix)] == [
        f"{name}-{rows.suffix}" for name in ("a", "b", "c")
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("what", ["upstream", "model", "route"])
def test_what_is_disabled_is_not_there(rows, what):
    upstream, model = rows.upstream(), rows.model()
    route = rows.route(model, upstream)
    disabled = {"upstream": upstream, "model": model, "route": route}[what]
    disabled.enabled = False
    disabled.save()
    assert not read().named(model.name)


def test_a_model_without_a_route_is_not_there(rows):
    model = rows.model()
    assert not read().named(model.name)


def test_one_way_of_two_may_be_closed(rows):
    model = rows.model()
    rows.route(model, rows.upstream("open"))
    rows.route(model, rows.upstream("closed", enabled=False))
    assert [target.upstream for target in only(model.name).targets] == [f"open-{rows.suffix}"]


def test_targets_are_in_order_of_priority(rows):
    model = rows.model()
    for name, priority in (("last", 300), ("first", 1), ("middle", 20)):
        rows.route(model, rows.upstream(name), priority=priority)
    assert [target.priority for target in only(model.name).targets] == [1, 20, 300]


def test_a_credential_sealed_for_another_address_is_not_used(rows):
    upstream, model = rows.upstream(), rows.model()
    rows.route(model, upstream)
    Upstream.objects.filter(pk=upstream.pk).update(base_url="https://thief.test/v1")
    assert not read().named(model.name)


@pytest.mark.parametrize("length", [1, 8, 30])
def test_a_broken_credential_takes_nobody_else_along(rows, length):
    broken, model = rows.upstream("broken"), rows.model("broken")
    rows.route(model, broken)
    cut(broken, length)
    other = rows.model("other")
    rows.route(other, rows.upstream("other"))
    catalog = read()
    assert catalog.named(other.name)
    assert not catalog.named(model.name)


def test_of_two_credentials_one_may_be_broken(rows):
    upstream, model = rows.upstream(), rows.model()
    rows.route(model, upstream)
    cut(upstream, 8)
    upstream.add_credential("sk-second", "second")
    [target] = only(model.name).targets
    assert [key.secret for key in target.keys] == ["sk-second"]
    assert [key.secret for key in target.keys] == ["sk-second"]


def cut(upstream, length):
    credential = upstream.credentials.get()
    credential.sealed = bytes(credential.sealed)[:length]
    credential.save()


def test_a_credential_under_an_old_key_still_opens(rows, settings):
    model = rows.model()
    rows.route(model, rows.upstream())
    fresh = "A" * 43
    settings.RUNESTONE_CREDENTIAL_KEYS = [fresh, *settings.RUNESTONE_CREDENTIAL_KEYS]
    assert only(model.name).targets[0].keys[0].secret == "sk-vendor"
    settings.RUNESTONE_CREDENTIAL_KEYS = [fresh]
    assert not read().named(model.name)


def test_an_upstream_may_need_no_credential(rows):
    model = rows.model()
    rows.route(model, rows.upstream(secret=""))
    [target] = only(model.name).targets
    assert target.keys == ()


def test_one_whose_only_credential_is_disabled_is_not_called_without(rows):
    upstream, model = rows.upstream(), rows.model()
    rows.route(model, upstream)
    upstream.credentials.update(enabled=False)
    assert not read().named(model.name)


def test_shared_credentials_come_first_then_each_tenants(rows):
    upstream, model = rows.upstream(secret=""), rows.model()
    rows.route(model, upstream)
    acme, globex = rows.tenant("acme"), rows.tenant("globex")
    upstream.add_credential("sk-globex", tenant=globex)
    upstream.add_credential("sk-acme", tenant=acme)
    upstream.add_credential("sk-one", "one")
    upstream.add_credential("sk-two", "two")
    upstream.add_credential("sk-acme-2", "second", tenant=acme)
    [target] = only(model.name).targets
    assert [(key.tenant_id, key.secret) for key in target.keys] == [
        (None, "sk-one"),
        (None, "sk-two"),
        (acme.pk, "sk-acme"),
        (acme.pk, "sk-acme-2"),
        (globex.pk, "sk-globex"),
    ]


def test_a_tenants_own_is_nobody_elses(rows):
    """Not the gateway's present one either, and not by a row that is moved to another tenant."""
    upstream, model = rows.upstream(secret=""), rows.model()
    rows.route(model, upstream)
    acme, globex = rows.tenant("acme"), rows.tenant("globex")
    brought = upstream.add_credential("sk-acme", tenant=acme)
    [target] = only(model.name).targets
    assert (target.serves(acme.pk), target.serves(globex.pk)) == (True, False)
    for thief in (globex, None):
        Credential.objects.filter(pk=brought.pk).update(tenant=thief)
        assert not read().named(model.name)


def test_a_dialect_that_is_not_spoken_here_is_left_out(rows):
    model = rows.model()
    rows.route(model, rows.upstream(dialect="klingon"))
    assert not read().named(model.name)


# Names.


def test_an_alias_means_its_model(rows):
    upstream, model = rows.upstream(), rows.model()
    rows.route(model, upstream)
    Alias.objects.create(name=f"alias-{rows.suffix}", model=model)
    assert only(f"alias-{rows.suffix}").name == model.name


def test_an_upstream_before_the_name_leaves_that_one_alone(rows):
    model = rows.model()
    for name in ("one", "two"):
        rows.route(model, rows.upstream(name))
    Alias.objects.create(name=f"alias-{rows.suffix}", model=model)
    for word in (model.name, f"alias-{rows.suffix}", "their-name"):
        found = only(f"two-{rows.suffix}/{word}")
        assert [target.upstream for target in found.targets] == [f"two-{rows.suffix}"]


def test_a_providers_own_name_will_do(rows):
    model = rows.model()
    rows.route(model, rows.upstream("one"), upstream_model=f"theirs-{rows.suffix}")
    rows.route(model, rows.upstream("two"), upstream_model=f"other-{rows.suffix}")
    found = only(f"theirs-{rows.suffix}")
    assert found.name == model.name
    assert [target.upstream for target in found.targets] == [f"one-{rows.suffix}"]


def test_one_word_for_two_models_means_both_until_an_upstream_is_named(rows):
    word = f"large-{rows.suffix}"
    for name in ("one", "two"):
        rows.route(rows.model(name), rows.upstream(name), upstream_model=word)
    assert len(read().named(word)) == 2
    assert only(f"two-{rows.suffix}/{word}").name == f"two-{rows.suffix}"


def test_a_models_own_name_comes_before_what_another_is_called(rows):
    upstream, model, other = rows.upstream(), rows.model(), rows.model("other")
    rows.route(model, upstream)
    rows.route(other, upstream, upstream_model=model.name)
    assert only(model.name).name == model.name


def test_an_alias_may_not_be_a_models_name(rows):
    model, other = rows.model(), rows.model("other")
    with pytest.raises(ValidationError, match="A model has this name"):
        Alias(name=model.name, model=other).full_clean()
