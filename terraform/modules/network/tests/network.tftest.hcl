mock_provider "azurerm" {}

variables {
  name                = "titanic-test"
  location            = "eastus"
  resource_group_name = "titanic-test"
  tags                = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  address_space       = "10.10.0.0/16"
}

run "subnets" {
  command = plan
  assert {
    condition = { for name, subnet in azurerm_subnet.this : name => one(subnet.address_prefixes) } == {
      nodes = "10.10.0.0/20", database = "10.10.16.0/24", redis = "10.10.17.0/24", endpoints = "10.10.18.0/24", management = "10.10.19.0/24"
    }
    error_message = "the subnets deploy/k8s names"
  }
  assert {
    condition     = alltrue([for group in azurerm_network_security_group.data : anytrue([for rule in group.security_rule : rule.access == "Deny" && rule.priority == 4000])])
    error_message = "into the data's subnets comes nobody but the nodes"
  }
  assert {
    condition     = alltrue([for subnet in azurerm_subnet.this : subnet.default_outbound_access_enabled == false])
    error_message = "out by the gateway alone"
  }
}

run "peering" {
  command = plan
  variables {
    peers = { westeurope = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/virtualNetworks/other", address_space = "10.11.0.0/16" } }
  }
  assert {
    condition     = azurerm_virtual_network_peering.this["westeurope"].allow_virtual_network_access
    error_message = "regions reach each other"
  }
  assert {
    condition = { for name, group in azurerm_network_security_group.data : name => toset([for source in flatten([for rule in group.security_rule : rule.source_address_prefixes if rule.access == "Allow"]) : source if startswith(source, "10.11.")]) } == {
      database = toset(["10.11.0.0/20", "10.11.19.0/24"]), redis = toset([]), endpoints = toset([])
    }
    error_message = "the other region's nodes and operators reach the database, and nothing else"
  }
}

run "addresses_that_overlap" {
  command = plan
  variables {
    peers = { westeurope = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/virtualNetworks/other", address_space = "10.10.0.0/16" } }
  }
  expect_failures = [var.peers]
}

run "zones_of_another_region" {
  command = plan
  variables {
    shared_dns_zones = { database = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-other/providers/Microsoft.Network/privateDnsZones/privatelink.postgres.database.azure.com" }
  }
  assert {
    condition     = toset(keys(azurerm_private_dns_zone.this)) == toset(["redis", "key_vault", "registry"]) && length(azurerm_private_dns_zone_virtual_network_link.this) == 4
    error_message = "it is not made again, and is linked all the same"
  }
  assert {
    condition     = azurerm_private_dns_zone_virtual_network_link.this["database"].resource_group_name == "titanic-other" && azurerm_private_dns_zone_virtual_network_link.this["redis"].resource_group_name == "titanic-test"
    error_message = "the link is where the zone is"
  }
}

run "another_size_of_network" {
  command = plan
  variables {
    address_space = "10.10.0.0/20"
  }
  expect_failures = [var.address_space]
}

run "bad_name" {
  command = plan
  variables {
    name = "Titanic_"
  }
  expect_failures = [var.name]
}

run "everybody" {
  command = plan
  variables {
    allowed_sources = ["0.0.0.0/0"]
  }
  expect_failures = [var.allowed_sources]
}
