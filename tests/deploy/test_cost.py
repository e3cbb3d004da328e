"""deploy/cost: the model's sizes are Terraform's, its sums are right, its page is what it computes."""

import importlib.machinery
import importlib.util
import math
import re
import subprocess

import pytest

from test_terraform import of, one, plans, terraform  # noqa: F401: fixtures
from support.servers import PRESET, ROOT
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
COST = ROOT / "deploy/cost"


@pytest.fixture(scope="module")
def cost():
    loader = importlib.machinery.SourceFileLoader("cost", str(COST / "cost"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("cost", loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("environment", ("dev", "staging", "prod"))
def test_sizes_are_terraforms(cost, plans, environment):  # noqa: F811
    plan, size = plans[environment], cost.SIZES[environment]
    pool, cluster = one(plan, "azurerm_kubernetes_cluster")["default_node_pool"][0], one(plan, "azurerm_kubernetes_cluster")
    server, redis = one(plan, "azurerm_postgresql_flexible_server"), one(plan, "azurerm_redis_cache")
    assert size == {
        "node": pool["vm_size"], "nodes": pool["min_count"], "nodes_at_most": pool["max_count"], "cluster_tier": cluster["sku_tier"],
        "database": server["sku_name"], "database_instances": 1 + len(server["high_availability"]), "database_storage_gb": server["storage_mb"] // 1024,
        "redis": f"{redis['sku_name']} {redis['capacity']:.0f}", "registry": one(plan, "azurerm_container_registry")["sku"],
        "private_endpoints": len(of(plan, "azurerm_private_endpoint")), "public_addresses": len(of(plan, "azurerm_public_ip")),
    }
    budget = one(plan, "azurerm_consumption_budget_subscription")["amount"]
    assert budget == math.ceil(cost.month(environment) * 1.5 / 50) * 50, "half as much again, in steps of 50"


def test_the_second_region_is_terraforms(cost, plans):  # noqa: F811
    alone, two = plans["prod"], plans["two regions"]
    added = {address: values for address, values in two.items() if address not in alone}
    cluster, redis, server = one(added, "azurerm_kubernetes_cluster"), one(added, "azurerm_redis_cache"), one(added, "azurerm_postgresql_flexible_server")
    pool = cluster["default_node_pool"][0]
    assert cost.SIZES["second_region"] == {
        "node": pool["vm_size"], "nodes": pool["min_count"], "nodes_at_most": pool["max_count"], "cluster_tier": cluster["sku_tier"],
        "database": server["sku_name"], "database_instances": 1, "database_storage_gb": server["storage_mb"] // 1024, "redis": f"{redis['sku_name']} {redis['capacity']:.0f}",
        "private_endpoints": len(of(added, "azurerm_private_endpoint")), "public_addresses": len(of(added, "azurerm_public_ip")),
    }
    assert len(of(added, "azurerm_private_dns_zone")) == 2 and len(of(added, "azurerm_traffic_manager_profile")) == 1
    assert one(two, "azurerm_consumption_budget_subscription")["amount"] == math.ceil((cost.month("prod") + cost.second_region()) * 1.5 / 50) * 50


def test_what_was_measured_stands_in_the_benchmarks(cost):
    figures = re.findall(r"^GET /people/\{uuid\}, PostgreSQL +\d+ +(\d+) +0\.\d\d +\d+", (ROOT / "tests/bench/README.md").read_text(), re.M)
    assert str(cost.MEASURED["requests_a_second"]) in figures


def test_sums(cost):
    assert cost.nodes("prod") == pytest.approx(3 * 185) and cost.database("prod") == pytest.approx(2 * 0.178 * 730)
    assert cost.egress_gb(1000) == pytest.approx(1000 * 730 * 3600 * 1400 / 1e9)
    assert cost.per_million(1002.5, 1000) == pytest.approx(1002.5 / 2628)
    assert sum(cost.ORIGINAL["lines"].values()) == cost.ORIGINAL["stated_total"]
    assert all(saved > 0 for saved in cost.optimisations().values())
    bills = [cost.kubernetes(rate) for rate in (1, 1000, 100_000, 1_000_000)]
    assert bills == sorted(bills), "more requests never cost less"


def test_the_page_is_what_the_data_say():
    run = subprocess.run([COST / "cost", "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
