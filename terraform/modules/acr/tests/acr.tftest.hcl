mock_provider "azurerm" {}

variables {
  name                = "titanic-test"
  location            = "eastus"
  resource_group_name = "titanic-test"
  tags                = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  subnet_id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/virtualNetworks/titanic-test-network/subnets/endpoints"
  dns_zone_id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/privateDnsZones/privatelink.azurecr.io"
}

run "premium" {
  command = plan
  variables {
    replica_locations = ["westeurope"]
  }
  assert {
    condition     = azurerm_container_registry.this.name == "titanictest" && !azurerm_container_registry.this.public_network_access_enabled && !azurerm_container_registry.this.admin_enabled && azurerm_container_registry.this.zone_redundancy_enabled
    error_message = "private, without a password, in every zone"
  }
  assert {
    condition     = azurerm_container_registry.this.georeplications[0].location == "westeurope" && length(azurerm_private_endpoint.this) == 1
    error_message = "copied to the second region"
  }
}

run "basic" {
  command = plan
  variables {
    sku               = "Basic"
    replica_locations = ["westeurope"]
  }
  assert {
    condition     = length(azurerm_private_endpoint.this) == 0 && length(azurerm_container_registry.this.georeplications) == 0 && !azurerm_container_registry.this.admin_enabled
    error_message = "what the tier does not have is not asked for"
  }
}

run "no_such_tier" {
  command = plan
  variables {
    sku = "Gold"
  }
  expect_failures = [var.sku]
}
