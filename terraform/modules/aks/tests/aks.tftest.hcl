mock_provider "azurerm" {}

variables {
  name                       = "titanic-test"
  location                   = "eastus"
  resource_group_name        = "titanic-test"
  tags                       = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  nodes_subnet_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/virtualNetworks/titanic-test-network/subnets/nodes"
  admin_group_ids            = ["00000000-0000-0000-0000-000000000000"]
  tenant_id                  = "00000000-0000-0000-0000-000000000000"
  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.OperationalInsights/workspaces/titanic-test-logs"
}

run "production" {
  command = plan
  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].min_count == 3 && azurerm_kubernetes_cluster.this.default_node_pool[0].max_count == 5 && azurerm_kubernetes_cluster.this.default_node_pool[0].vm_size == "Standard_D4s_v3"
    error_message = "3 to 5 nodes of 4 cores"
  }
  assert {
    condition     = toset(azurerm_kubernetes_cluster.this.default_node_pool[0].zones) == toset(["1", "2", "3"])
    error_message = "in three zones"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.private_cluster_enabled && azurerm_kubernetes_cluster.this.local_account_disabled && azurerm_kubernetes_cluster.this.workload_identity_enabled && azurerm_kubernetes_cluster.this.oidc_issuer_enabled
    error_message = "no public API server, no local account, workload identity"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.network_profile[0].network_policy == "cilium"
    error_message = "something must enforce the NetworkPolicies"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.automatic_upgrade_channel == "patch" && length(azurerm_kubernetes_cluster.this.maintenance_window_auto_upgrade) == 1
    error_message = "patches, in their window"
  }
  assert {
    condition     = length(azurerm_kubernetes_cluster_node_pool.spot) == 0
    error_message = "no spot nodes unless asked for"
  }
}

run "spot" {
  command = plan
  variables {
    spot = true
  }
  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.spot[0].priority == "Spot" && length(azurerm_kubernetes_cluster_node_pool.spot[0].node_taints) == 1
    error_message = "only what asks for it runs there"
  }
}

run "too_old" {
  command = plan
  variables {
    kubernetes_version = "1.29"
  }
  expect_failures = [var.kubernetes_version]
}

run "fewer_at_most_than_at_least" {
  command = plan
  variables {
    max_nodes = 2
  }
  expect_failures = [var.max_nodes]
}

run "nobody_could_get_in" {
  command = plan
  variables {
    admin_group_ids = []
  }
  expect_failures = [var.admin_group_ids]
}
