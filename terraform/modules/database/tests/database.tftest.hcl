mock_provider "azurerm" {}

variables {
  name                       = "titanic-test"
  location                   = "eastus"
  resource_group_name        = "titanic-test"
  tags                       = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  sku_name                   = "GP_Standard_D2ds_v5"
  tenant_id                  = "00000000-0000-0000-0000-000000000000"
  administrator_password     = "not-a-real-one"
  subnet_id                  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/virtualNetworks/titanic-test-network/subnets/database"
  dns_zone_id                = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/privateDnsZones/privatelink.postgres.database.azure.com"
  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.OperationalInsights/workspaces/titanic-test-logs"
}

run "production" {
  command = plan
  assert {
    condition     = azurerm_postgresql_flexible_server.this.version == "15" && azurerm_postgresql_flexible_server.this.backup_retention_days == 35 && !azurerm_postgresql_flexible_server.this.public_network_access_enabled
    error_message = "PostgreSQL 15, 35 days back, private"
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.high_availability[0].mode == "ZoneRedundant" && azurerm_postgresql_flexible_server.this.high_availability[0].standby_availability_zone != azurerm_postgresql_flexible_server.this.zone
    error_message = "the standby is in another zone"
  }
  assert {
    condition     = azurerm_postgresql_flexible_server_configuration.this["require_secure_transport"].value == "on" && azurerm_postgresql_flexible_server_configuration.this["ssl_min_protocol_version"].value == "TLSv1.2" && azurerm_postgresql_flexible_server_configuration.this["pgbouncer.pool_mode"].value == "transaction"
    error_message = "TLS alone, PgBouncer by transaction"
  }
  assert {
    condition     = length(azurerm_postgresql_flexible_server.replica) == 0 && length(azurerm_private_endpoint.this) == 1 && length(azurerm_postgresql_flexible_server_virtual_endpoint.this) == 0 && output.writer_host == ""
    error_message = "no replica unless asked for"
  }
}

run "second_region" {
  command = plan
  variables {
    replica = {
      location                   = "westeurope"
      resource_group_name        = "titanic-test-eu"
      subnet_id                  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test-eu/providers/Microsoft.Network/virtualNetworks/titanic-test-eu-network/subnets/database"
      log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test-eu/providers/Microsoft.OperationalInsights/workspaces/titanic-test-eu-logs"
      action_group_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test-eu/providers/Microsoft.Insights/actionGroups/titanic-test-eu-operators"
    }
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.replica[0].create_mode == "Replica" && azurerm_postgresql_flexible_server.replica[0].location == "westeurope" && azurerm_private_endpoint.this["replica"].location == "westeurope" && azurerm_postgresql_flexible_server_configuration.replica["pgbouncer.pool_mode"].value == "transaction"
    error_message = "a replica that can be promoted, reached privately, with the primary's parameters"
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.replica[0].resource_group_name == "titanic-test-eu" && azurerm_private_endpoint.this["replica"].resource_group_name == "titanic-test-eu"
    error_message = "in its own region's group, which can be changed while the other region is out"
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.replica[0].sku_name == azurerm_postgresql_flexible_server.this.sku_name && azurerm_postgresql_flexible_server_virtual_endpoint.this[0].type == "ReadWrite" && output.writer_host == "titanic-test-db.writer.postgres.database.azure.com"
    error_message = "it can change roles with the primary, and a name follows"
  }
  assert {
    condition     = azurerm_monitor_metric_alert.lag[0].criteria[0].threshold == 60
    error_message = "somebody is told when it lags"
  }
}

run "burstable" {
  command = plan
  variables {
    sku_name          = "B_Standard_B1ms"
    high_availability = false
  }
  assert {
    condition     = length([for name in keys(azurerm_postgresql_flexible_server_configuration.this) : name if startswith(name, "pgbouncer.")]) == 0
    error_message = "that size has no PgBouncer"
  }
}

run "burstable_with_a_standby" {
  command = plan
  variables {
    sku_name = "B_Standard_B1ms"
  }
  expect_failures = [azurerm_postgresql_flexible_server.this]
}

run "forgets_too_soon" {
  command = plan
  variables {
    backup_retention_days = 3
  }
  expect_failures = [var.backup_retention_days]
}
