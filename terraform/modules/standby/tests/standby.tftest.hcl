mock_provider "azurerm" {}

variables {
  name            = "titanic-test-eu"
  location        = "westeurope"
  namespace       = "titanic"
  tags            = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  tenant_id       = "00000000-0000-0000-0000-000000000000"
  address_space   = "10.11.0.0/16"
  nodes           = { size = "Standard_D4s_v3", min = 2, max = 5 }
  redis           = { sku_name = "Standard", capacity = 1 }
  admin_group_ids = ["00000000-0000-0000-0000-000000000000"]
  domain          = "titanic.example"
  email           = "operators@titanic.example"
  secrets_expire  = "2027-06-01T00:00:00Z"
  primary = {
    name          = "titanic-test"
    location      = "eastus"
    network_id    = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/virtualNetworks/titanic-test-network"
    address_space = "10.10.0.0/16"
    dns_zone_ids = {
      database  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/privateDnsZones/privatelink.postgres.database.azure.com"
      redis     = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/privateDnsZones/privatelink.redis.cache.windows.net"
      key_vault = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net"
      registry  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/privateDnsZones/privatelink.azurecr.io"
    }
    key_vault_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.KeyVault/vaults/titanic-test"
    registry_id  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.ContainerRegistry/registries/titanictest"
  }
}

run "whole" {
  command = plan
  assert {
    condition     = output.resource_group == "titanic-test-eu" && output.cluster == "titanic-test-eu-aks" && output.replica.location == "westeurope"
    error_message = "in a group and a region of its own"
  }
  assert {
    condition     = toset([for endpoint in azurerm_private_endpoint.shared : endpoint.location]) == toset(["westeurope"]) && toset(keys(azurerm_private_endpoint.shared)) == toset(["vault", "registry"])
    error_message = "the first region's vault and registry are reached without it"
  }
  assert {
    condition     = output.redis_secret == "redis-url-westeurope"
    error_message = "its Redis has a secret of its own in the one vault"
  }
}

run "the_same_region" {
  command = plan
  variables {
    location = "eastus"
  }
  expect_failures = [var.primary]
}

run "the_same_addresses" {
  command = plan
  variables {
    address_space = "10.10.0.0/16"
  }
  expect_failures = [var.primary]
}
