"""terraform/ by Terraform itself: format, every module's own tests, the plans of the environments, and what no plan may hold."""

import re
import subprocess

import pytest
import yaml

from support.servers import PRESET, ROOT
from support.skips import OTHER_BUILD, needs
from support.terraform import ENVIRONMENTS, MODULES, TERRAFORM, Terraform, planned

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
OVERLAYS = ROOT / "deploy/k8s/overlays"
UNTAGGED = {  # Azure has no tags there
    "azurerm_subnet", "azurerm_nat_gateway_public_ip_association", "azurerm_subnet_nat_gateway_association", "azurerm_subnet_network_security_group_association", "azurerm_virtual_network_peering",
    "azurerm_role_assignment", "azurerm_management_lock", "azurerm_federated_identity_credential", "azurerm_monitor_diagnostic_setting", "azurerm_consumption_budget_subscription",
    "azurerm_postgresql_flexible_server_database", "azurerm_postgresql_flexible_server_configuration", "azurerm_traffic_manager_external_endpoint", "random_password",
}


@pytest.fixture(scope="module")
def terraform(tmp_path_factory):
    needs("terraform")
    made = Terraform(tmp_path_factory.mktemp("terraform"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def plans(terraform):
    return {environment: planned(terraform.plan(environment)) for environment in ENVIRONMENTS}


def of(plan, kind):
    return {address: values for address, values in plan.items() if values["type"] == kind}


def one(plan, kind):
    (values,) = of(plan, kind).values()
    return values


def test_format():
    needs("terraform")
    run = subprocess.run(["terraform", "fmt", "-check", "-recursive", "-diff", str(TERRAFORM)], capture_output=True, text=True, env={"TF_CLI_CONFIG_FILE": "/dev/null", "PATH": "/usr/bin:/bin:/usr/local/bin"})
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("module", MODULES)
def test_module(terraform, module):
    folder = f"modules/{module}"
    terraform.ready(folder)
    valid = terraform.run(folder, "validate")
    assert valid.returncode == 0, valid.stdout + valid.stderr
    run = terraform.run(folder, "test")
    assert run.returncode == 0 and re.search(r"Success! [2-9]\d* passed, 0 failed|Success! 1\d+ passed, 0 failed", run.stdout), run.stdout + run.stderr


@pytest.mark.parametrize("module, right, wrong, said", [
    ("redis", "minimum_tls_version", "minimum_tls_versoin", "Did you mean \"minimum_tls_version\"?"),
    ("redis", "  capacity                      = var.capacity\n", "", "The argument \"capacity\" is required"),
    ("redis", "non_ssl_port_enabled          = false", "non_ssl_port_enabled          = [false]", "bool required"),
    ("redis", "patch_schedule {", "patch_scheduel {", "Blocks of type \"patch_scheduel\" are not expected here"),
    ("aks", "default_node_pool {", "identity {\n    type = \"SystemAssigned\"\n  }\n\n  default_node_pool {", "No more than 1 \"identity\" blocks are allowed"),
    ("aks", "azurerm_kubernetes_cluster.this.oidc_issuer_url", "azurerm_kubernetes_cluster.this.oidc_issuer", "no argument, nested block, or exported attribute named \"oidc_issuer\""),
])
def test_mistakes_are_found(terraform, module, right, wrong, said):
    """That the schemas are Azure's own, and Terraform holds files against them."""
    folder = f"modules/{module}"
    terraform.ready(folder)
    (path,) = [path for path in (terraform.folder / folder).glob("*.tf") if right in path.read_text()]
    before = path.read_text()
    path.write_text(before.replace(right, wrong, 1))
    try:
        run = terraform.run(folder, "validate")
    finally:
        path.write_text(before)
    assert run.returncode == 1 and said in re.sub(r"\s+", " ", run.stdout + run.stderr), run.stdout + run.stderr


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_tags(plans, environment):
    for address, values in plans[environment].items():
        if values["type"] in UNTAGGED:
            assert "tags" not in values, f"{address} could be tagged"
            continue
        assert values["tags"] == {"environment": environment, "team": "titanic", "cost_center": "cc-1912", "managed_by": "terraform"}, address


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_is_public(plans, environment):
    plan = plans[environment]
    for address, values in plan.items():
        if values["type"] == "azurerm_container_registry" and values["sku"] != "Premium":
            assert not values["admin_enabled"] and not values["anonymous_pull_enabled"], "the lower tiers have no private endpoint, so nobody gets in without an identity"
        elif "public_network_access_enabled" in values:
            assert values["public_network_access_enabled"] is False, address
    assert sorted(values["name"] for values in of(plan, "azurerm_public_ip").values()) == [f"titanic-{environment}-ingress", f"titanic-{environment}-nat"]
    cluster = one(plan, "azurerm_kubernetes_cluster")
    assert cluster["private_cluster_enabled"] and cluster["local_account_disabled"]
    for address, group in of(plan, "azurerm_network_security_group").items():
        for rule in group["security_rule"]:
            sources = {rule["source_address_prefix"], *(rule["source_address_prefixes"] or [])} - {"", None}
            assert sources and (rule["access"] == "Deny" or not sources & {"*", "Internet", "0.0.0.0/0"}), address
    endpoints = {values["private_service_connection"][0]["subresource_names"][0] for values in of(plan, "azurerm_private_endpoint").values()}
    assert endpoints >= {"postgresqlServer", "redisCache", "vault"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_encrypted(plans, environment):
    plan = plans[environment]
    redis, vault, cluster = one(plan, "azurerm_redis_cache"), one(plan, "azurerm_key_vault"), one(plan, "azurerm_kubernetes_cluster")
    assert not redis["non_ssl_port_enabled"] and redis["minimum_tls_version"] == "1.2"
    parameters = {values["name"]: values["value"] for values in of(plan, "azurerm_postgresql_flexible_server_configuration").values()}
    assert parameters["require_secure_transport"] == "on" and parameters["ssl_min_protocol_version"] == "TLSv1.2"
    assert vault["purge_protection_enabled"] and vault["rbac_authorization_enabled"] and vault["network_acls"][0]["default_action"] == "Deny"
    assert cluster["default_node_pool"][0]["host_encryption_enabled"]
    for address, values in of(plan, "azurerm_traffic_manager_profile").items():
        assert values["monitor_config"][0]["protocol"] == "HTTPS", address


def test_production_outlives_a_zone(plans):
    plan = plans["prod"]
    pool, server = one(plan, "azurerm_kubernetes_cluster")["default_node_pool"][0], one(plan, "azurerm_postgresql_flexible_server")
    assert sorted(pool["zones"]) == ["1", "2", "3"] and (pool["min_count"], pool["max_count"], pool["vm_size"]) == (3, 5, "Standard_D4s_v3")
    assert server["high_availability"] == [{"mode": "ZoneRedundant", "standby_availability_zone": "2"}] and server["zone"] == "1"
    assert server["version"] == "15" and server["backup_retention_days"] == 35
    (ingress,) = [values for values in of(plan, "azurerm_public_ip").values() if values["name"].endswith("-ingress")]
    assert sorted(ingress["zones"]) == ["1", "2", "3"]
    assert one(plan, "azurerm_container_registry")["zone_redundancy_enabled"] and len(of(plan, "azurerm_management_lock")) == 1


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_somebody_is_told(plans, environment):
    plan = plans[environment]
    told = {(each["threshold_type"], each["threshold"]) for each in one(plan, "azurerm_consumption_budget_subscription")["notification"]}
    assert told == {("Actual", 80), ("Actual", 100), ("Forecasted", 100)}
    assert len(of(plan, "azurerm_monitor_diagnostic_setting")) == 3, "of the cluster, the database and the vault"


@pytest.mark.parametrize("environment", ("staging", "prod"))
def test_kubernetes_means_the_same(plans, environment):
    """What deploy/k8s names of Azure is what Terraform makes."""
    plan, overlay = plans[environment], OVERLAYS / environment
    subnets = {values["name"]: values["address_prefixes"][0] for values in of(plan, "azurerm_subnet").values()}
    policies = {policy["metadata"]["name"]: policy for policy in yaml.safe_load_all((overlay / "network-policies.yaml").read_text())}
    to = lambda name: policies[name]["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"]
    assert to("titanic-database") == subnets["database"] and to("titanic-api-redis") == subnets["redis"]
    variables = dict(line.split("=", 1) for line in (overlay / "environment.env").read_text().splitlines())
    name = one(plan, "azurerm_postgresql_flexible_server")["name"]
    assert f"@{name}.postgres.database.azure.com:6432/" in variables["DATABASE_URL"] and f"@{name}.postgres.database.azure.com:5432/" in variables["DATABASE_DIRECT_URL"]
    assert variables["REDIS_HOST"] == f"{one(plan, 'azurerm_redis_cache')['name']}.redis.cache.windows.net"
    assert variables["TRUSTED_PROXIES"] == one(plan, "azurerm_kubernetes_cluster")["network_profile"][0]["pod_cidr"]
    assert f"https://{one(plan, 'azurerm_key_vault')['name']}.vault.azure.net" in (overlay / "names.yaml").read_text()
    secrets = {values["name"] for values in of(plan, "azurerm_key_vault_secret").values()}
    asked = {each["remoteRef"]["key"] for each in yaml.safe_load((ROOT / "deploy/k8s/components/external-secrets/secret.yaml").read_text())["spec"]["data"]}
    assert asked <= secrets
    namespace = yaml.safe_load((overlay / "kustomization.yaml").read_text())["namespace"]
    assert f"system:serviceaccount:{namespace}:titanic-secrets" in {values["subject"] for values in of(plan, "azurerm_federated_identity_credential").values()}
    assert f"{one(plan, 'azurerm_container_registry')['name']}.azurecr.io/" in (overlay / "kustomization.yaml").read_text()


def test_everything_is_described():
    for path in TERRAFORM.rglob("*.tf"):
        for kind, name, body in re.findall(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', path.read_text(), re.M | re.S):
            assert re.search(r'^  description = ".{5,}"', body, re.M), f"{path}: {kind} {name}"
    for environment in ENVIRONMENTS:
        folder = TERRAFORM / "environments" / environment
        wanted = {name for path in folder.glob("*.tf") for name in re.findall(r'^variable "(\w+)" \{', path.read_text(), re.M)}
        given = set(re.findall(r"^(?:# )?(\w+) +=", (folder / "terraform.tfvars.example").read_text(), re.M))
        assert wanted == given, f"{environment}: the example names every variable, and no other"
