"""terraform/ by Terraform itself: format, every module's own tests, the plans of the environments, and what no plan may hold."""

import ipaddress
import re
import subprocess

import pytest
import yaml

from support.servers import PRESET, ROOT
from support.skips import OTHER_BUILD, needs
from support.terraform import ENVIRONMENTS, MODULES, TERRAFORM, Terraform, planned

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
OVERLAYS = ROOT / "deploy/k8s/overlays"
PLANS = {**{environment: (environment,) for environment in ENVIRONMENTS}, "two regions": ("prod", "second_region")}
REGIONS = {"titanic-prod": "eastus", "titanic-prod-eu": "westeurope"}
UNTAGGED = {  # Azure has no tags there
    "azurerm_subnet", "azurerm_nat_gateway_public_ip_association", "azurerm_subnet_nat_gateway_association", "azurerm_subnet_network_security_group_association", "azurerm_virtual_network_peering",
    "azurerm_role_assignment", "azurerm_management_lock", "azurerm_federated_identity_credential", "azurerm_monitor_diagnostic_setting", "azurerm_consumption_budget_subscription",
    "azurerm_postgresql_flexible_server_database", "azurerm_postgresql_flexible_server_configuration", "azurerm_postgresql_flexible_server_virtual_endpoint", "azurerm_traffic_manager_external_endpoint", "random_password",
}


@pytest.fixture(scope="module")
def terraform(tmp_path_factory):
    needs("terraform")
    made = Terraform(tmp_path_factory.mktemp("terraform"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def plans(terraform):
    return {name: planned(terraform.plan(*words)) for name, words in PLANS.items()}


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


@pytest.mark.parametrize("name", PLANS)
def test_tags(plans, name):
    environment = PLANS[name][0]
    for address, values in plans[name].items():
        if values["type"] in UNTAGGED:
            assert "tags" not in values, f"{address} could be tagged"
            continue
        assert values["tags"] == {"environment": environment, "team": "titanic", "cost_center": "cc-1912", "managed_by": "terraform"}, address


@pytest.mark.parametrize("name", PLANS)
def test_nothing_is_public(plans, name):
    plan, environment = plans[name], PLANS[name][0]
    for address, values in plan.items():
        if values["type"] == "azurerm_container_registry" and values["sku"] != "Premium":
            assert not values["admin_enabled"] and not values["anonymous_pull_enabled"], "the lower tiers have no private endpoint, so nobody gets in without an identity"
        elif "public_network_access_enabled" in values:
            assert values["public_network_access_enabled"] is False, address
    regions = REGIONS if name == "two regions" else [f"titanic-{environment}"]
    assert sorted(values["name"] for values in of(plan, "azurerm_public_ip").values()) == sorted(f"{region}-{what}" for region in regions for what in ("ingress", "nat"))
    clusters = of(plan, "azurerm_kubernetes_cluster").values()
    assert len(clusters) == len(regions) and all(cluster["private_cluster_enabled"] and cluster["local_account_disabled"] for cluster in clusters)
    assert {values["type"] for values in plan.values()}.isdisjoint({"azurerm_cdn_frontdoor_endpoint", "azurerm_frontdoor", "azurerm_application_gateway", "azurerm_lb"})
    for address, group in of(plan, "azurerm_network_security_group").items():
        for rule in group["security_rule"]:
            sources = {rule["source_address_prefix"], *(rule["source_address_prefixes"] or [])} - {"", None}
            assert sources and (rule["access"] == "Deny" or not sources & {"*", "Internet", "0.0.0.0/0"}), address
    endpoints = {values["private_service_connection"][0]["subresource_names"][0] for values in of(plan, "azurerm_private_endpoint").values()}
    assert endpoints >= {"postgresqlServer", "redisCache", "vault"}


@pytest.mark.parametrize("name", PLANS)
def test_encrypted(plans, name):
    plan = plans[name]
    vault = one(plan, "azurerm_key_vault")
    for redis in of(plan, "azurerm_redis_cache").values():
        assert not redis["non_ssl_port_enabled"] and redis["minimum_tls_version"] == "1.2"
    servers = len(of(plan, "azurerm_postgresql_flexible_server"))
    parameters = [(values["name"], values["value"]) for values in of(plan, "azurerm_postgresql_flexible_server_configuration").values()]
    assert parameters.count(("require_secure_transport", "on")) == servers and parameters.count(("ssl_min_protocol_version", "TLSv1.2")) == servers
    assert vault["purge_protection_enabled"] and vault["rbac_authorization_enabled"] and vault["network_acls"][0]["default_action"] == "Deny"
    assert all(cluster["default_node_pool"][0]["host_encryption_enabled"] for cluster in of(plan, "azurerm_kubernetes_cluster").values())
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


@pytest.mark.parametrize("name", PLANS)
def test_somebody_is_told(plans, name):
    plan = plans[name]
    told = {(each["threshold_type"], each["threshold"]) for each in one(plan, "azurerm_consumption_budget_subscription")["notification"]}
    assert told == {("Actual", 80), ("Actual", 100), ("Forecasted", 100)}
    assert len(of(plan, "azurerm_monitor_diagnostic_setting")) == (5 if name == "two regions" else 3), "of every cluster, every database and the vault"


def test_the_second_region_is_an_addition(plans):
    """What one region consists of is there unchanged, but for what has to know of the other."""
    alone, two = plans["prod"], plans["two regions"]
    assert alone.keys() < two.keys()
    changed = {address.removeprefix("module.platform.module.") for address, values in alone.items() if two[address] != values}
    assert changed == {"acr.azurerm_container_registry.this", "budget.azurerm_consumption_budget_subscription.this", 'network.azurerm_network_security_group.data["database"]'}
    assert not [address for environment in ENVIRONMENTS for address in plans[environment] if "standby" in address or "replica" in address or "traffic_manager" in address]


def test_every_region_has_its_own(plans):
    plan = plans["two regions"]
    named = lambda kind: {values["name"]: values for values in of(plan, kind).values()}
    assert {name: values["location"] for name, values in named("azurerm_resource_group").items()} == REGIONS
    for kind, suffix in (("azurerm_virtual_network", "-network"), ("azurerm_nat_gateway", "-nat"), ("azurerm_kubernetes_cluster", "-aks"), ("azurerm_redis_cache", ""), ("azurerm_log_analytics_workspace", "-logs")):
        assert {name: values["location"] for name, values in named(kind).items()} == {f"{name}{suffix}": location for name, location in REGIONS.items()}, kind
        assert all(values["resource_group_name"] == name.removesuffix(suffix) for name, values in named(kind).items()), kind
    assert len(of(plan, "azurerm_management_lock")) == 2
    for address, values in plan.items():  # what is in one region is in that region's group, so that the other one's failure does not lock it
        if values.get("location") and values["type"] != "azurerm_resource_group":
            assert REGIONS[values["resource_group_name"]] == values["location"], address
    pools = {cluster["location"]: cluster["default_node_pool"][0] for cluster in of(plan, "azurerm_kubernetes_cluster").values()}
    assert 1 < pools["westeurope"]["min_count"] < pools["eastus"]["min_count"] and pools["westeurope"]["max_count"] == pools["eastus"]["max_count"], "fewer wait, as many may come"
    assert all(pool["auto_scaling_enabled"] and sorted(pool["zones"]) == ["1", "2", "3"] for pool in pools.values())
    assert all(sorted(values["zones"]) == ["1", "2", "3"] for name, values in named("azurerm_public_ip").items() if name.endswith("-ingress"))
    (copy,) = one(plan, "azurerm_container_registry")["georeplications"]
    assert copy["location"] == "westeurope" and copy["zone_redundancy_enabled"]


def test_regions_reach_each_other(plans):
    everywhere = [ipaddress.ip_network(space) for name in ("dev", "staging", "two regions") for values in of(plans[name], "azurerm_virtual_network").values() for space in values["address_space"]]
    assert len(everywhere) == 4 and not any(one.overlaps(other) for index, one in enumerate(everywhere) for other in everywhere[:index])
    plan = plans["two regions"]
    clusters = [ipaddress.ip_network(values["network_profile"][0][each]) for values in of(plan, "azurerm_kubernetes_cluster").values() for each in ("pod_cidr", "service_cidr")]
    assert not any(network.overlaps(inside) for network in everywhere for inside in clusters)
    peerings = {(values["virtual_network_name"], values["name"]) for values in of(plan, "azurerm_virtual_network_peering").values() if values["allow_virtual_network_access"]}
    assert peerings == {("titanic-prod-network", "westeurope"), ("titanic-prod-eu-network", "eastus")}
    links = [(values["name"], values["private_dns_zone_name"]) for address, values in of(plan, "azurerm_private_dns_zone_virtual_network_link").items() if "api_server" not in address]
    zones = [values["name"] for values in of(plan, "azurerm_private_dns_zone").values()]
    assert sorted(links) == sorted((region, zone) for region in REGIONS for zone in set(zones)), "every name is found from both networks"
    assert {zone: zones.count(zone) for zone in zones} == {"privatelink.postgres.database.azure.com": 1, "privatelink.redis.cache.windows.net": 1, "privatelink.vaultcore.azure.net": 2, "privatelink.azurecr.io": 2}
    endpoints = {region: sorted(values["private_service_connection"][0]["subresource_names"][0] for values in of(plan, "azurerm_private_endpoint").values() if values["location"] == region) for region in REGIONS.values()}
    assert endpoints["eastus"] == endpoints["westeurope"] == ["postgresqlServer", "redisCache", "registry", "vault"]
    for values in of(plan, "azurerm_network_security_group").values():
        (allowed,) = [rule for rule in values["security_rule"] if rule["access"] == "Allow"]
        other = {"eastus": "10.11.", "westeurope": "10.10."}[values["location"]]
        across = sorted(source for source in allowed["source_address_prefixes"] if source.startswith(other))
        assert across == ([f"{other}0.0/20", f"{other}19.0/24"] if values["name"].endswith("-database") else []), "across the regions goes the database alone"


def test_a_failover_changes_no_file(plans):
    """The replica can change roles with its primary, a name follows it, and callers follow what is ready."""
    plan = plans["two regions"]
    servers = {values["name"]: values for values in of(plan, "azurerm_postgresql_flexible_server").values()}
    primary, replica = servers["titanic-prod"], servers["titanic-prod-replica"]
    assert replica["create_mode"] == "Replica" and all(replica[each] == primary[each] for each in ("sku_name", "storage_mb", "authentication", "public_network_access_enabled")), "servers that differ cannot change roles"
    settings = {which: {values["name"]: values["value"] for address, values in of(plan, "azurerm_postgresql_flexible_server_configuration").items() if f".{which}[" in address} for which in ("this", "replica")}
    assert settings["this"] == settings["replica"] and settings["replica"]["pgbouncer.enabled"] == "true"
    endpoint, lines = one(plan, "azurerm_postgresql_flexible_server_virtual_endpoint"), (ROOT / "deploy/k8s/components/second-region/database.env").read_text().splitlines()
    assert len(lines) == 2 and all(f"@{endpoint['name']}.writer.postgres.database.azure.com:" in line for line in lines)
    profile, targets = one(plan, "azurerm_traffic_manager_profile"), of(plan, "azurerm_traffic_manager_external_endpoint").values()
    monitor = profile["monitor_config"][0]
    assert profile["traffic_routing_method"] == "Priority" and (monitor["protocol"], monitor["port"], monitor["path"]) == ("HTTPS", 443, "/health/ready")
    assert {values["name"]: values["priority"] for values in targets} == {"eastus": 1, "westeurope": 2}
    alerts = {values["criteria"][0]["metric_name"] for values in of(plan, "azurerm_monitor_metric_alert").values()}
    assert alerts == {"physical_replication_delay_in_seconds", "ProbeAgentCurrentEndpointStateByProfileResourceId"}


def test_kubernetes_means_the_same_in_the_second_region(plans):
    plan, overlay, component = plans["two regions"], OVERLAYS / "prod-eu", ROOT / "deploy/k8s/components/second-region"
    subnets = {(values["virtual_network_name"].removesuffix("-network"), values["name"]): values["address_prefixes"][0] for values in of(plan, "azurerm_subnet").values()}
    to = lambda policy: [each["ipBlock"]["cidr"] for each in policy["spec"]["egress"][0]["to"]]
    assert to(yaml.safe_load((component / "network-policy.yaml").read_text())) == [subnets[region, "database"] for region in REGIONS]
    assert to(yaml.safe_load((overlay / "network-policy.yaml").read_text())) == [subnets["titanic-prod-eu", "redis"]]
    kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    assert kustomization["configMapGenerator"][0]["literals"] == ["REDIS_HOST=titanic-prod-eu.redis.cache.windows.net"] and "titanic-prod-eu" in {values["name"] for values in of(plan, "azurerm_redis_cache").values()}
    secrets = {values["name"] for values in of(plan, "azurerm_key_vault_secret").values()}
    (asked,) = re.findall(r"path: /spec/data/2/remoteRef/key, value: (\S+) ", kustomization["patches"][-1]["patch"])
    assert asked in secrets
    readable = {values["scope"].rsplit("/", 1)[1] for address, values in of(plan, "azurerm_role_assignment").items() if ".module.iam.azurerm_role_assignment.secrets[" in address and values.get("scope")}
    assert readable <= secrets
    roles = {address.split('"')[1] for address in plan if address.startswith("module.standby[0].module.iam.azurerm_role_assignment.secrets[")}
    assert roles == {"database-password", "api-key-pepper", asked}, "its own Redis, and not the other region's"
    subjects = [values["subject"] for values in of(plan, "azurerm_federated_identity_credential").values()]
    assert subjects.count("system:serviceaccount:titanic:titanic-secrets") == 2 and subjects.count("system:serviceaccount:cert-manager:cert-manager") == 1
    (line,) = re.findall(r"^ +(?:# )?- (\{ region: westeurope.*\})$", (ROOT / "deploy/argocd/applications/prod.yaml").read_text(), re.M)
    element = yaml.safe_load(line)
    assert (element["overlay"], element["region"]) == ("prod-eu", "westeurope") and element["cluster"] in {values["name"] for values in of(plan, "azurerm_kubernetes_cluster").values() if values["location"] == element["region"]}


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
    assert f"https://{one(plan, 'azurerm_key_vault')['name']}.vault.azure.net" in (overlay / "key-vault.yaml").read_text()
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
