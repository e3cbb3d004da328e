mock_provider "azurerm" {}
mock_provider "random" {}

variables {
  name                       = "titanic-test"
  location                   = "eastus"
  resource_group_name        = "titanic-test"
  tags                       = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  tenant_id                  = "00000000-0000-0000-0000-000000000000"
  deployer_principal_id      = "00000000-0000-0000-0000-000000000000"
  expires                    = "2027-06-01T00:00:00Z"
  redis_url                  = "redis://:x@127.0.0.1:6379/0"
  subnet_id                  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/virtualNetworks/titanic-test-network/subnets/endpoints"
  dns_zone_id                = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net"
  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.OperationalInsights/workspaces/titanic-test-logs"
}

run "vault" {
  command = plan
  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.rbac_authorization_enabled && !azurerm_key_vault.this.public_network_access_enabled && azurerm_key_vault.this.network_acls[0].default_action == "Deny"
    error_message = "nothing is lost for good, roles decide, private"
  }
  assert {
    condition     = toset(keys(azurerm_key_vault_secret.this)) == toset(["database-administrator", "database-password", "api-key-pepper"]) && azurerm_key_vault_secret.redis.name == "redis-url"
    error_message = "what deploy/k8s/components/external-secrets asks for"
  }
  assert {
    condition     = azurerm_key_vault_secret.this["database-password"].expiration_date == "2027-06-01T00:00:00Z" && azurerm_key_vault_secret.this["api-key-pepper"].expiration_date == null
    error_message = "secrets expire; the pepper does not, since another one would end every API key"
  }
}

run "rotation" {
  command = plan
  variables {
    rotation = 2
  }
  assert {
    condition     = random_password.this["database-password"].keepers.rotation == "2" && random_password.this["api-key-pepper"].keepers.rotation == "1"
    error_message = "another password, the same pepper: another would end every API key"
  }
}

run "no_time" {
  command = plan
  variables {
    expires = "next year"
  }
  expect_failures = [var.expires]
}
