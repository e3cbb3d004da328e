mock_provider "azurerm" {}

variables {
  name                 = "titanic-test"
  location             = "eastus"
  resource_group_name  = "titanic-test"
  tags                 = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  resource_group_id    = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test"
  domain               = "titanic.example"
  cluster_principal_id = "00000000-0000-0000-0000-000000000000"
}

run "one_region" {
  command = plan
  assert {
    condition     = length(azurerm_public_ip.ingress.zones) == 3 && length(azurerm_traffic_manager_profile.this) == 0 && length(azurerm_dns_a_record.this) == 0
    error_message = "an address in every zone, no record without a DNS zone"
  }
}

run "two_regions" {
  command = plan
  variables {
    dns_zone_name                = "titanic.example"
    dns_zone_resource_group_name = "titanic-dns"
    standby                      = { location = "westeurope", address = "203.0.113.20", action_group_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Insights/actionGroups/titanic-test-operators" }
  }
  assert {
    condition     = azurerm_traffic_manager_profile.this[0].traffic_routing_method == "Priority" && azurerm_traffic_manager_profile.this[0].monitor_config[0].path == "/health/ready" && length(azurerm_traffic_manager_external_endpoint.this) == 2
    error_message = "the first that is ready"
  }
  assert {
    condition     = { for name, endpoint in azurerm_traffic_manager_external_endpoint.this : name => endpoint.priority } == { eastus = 1, westeurope = 2 } && azurerm_traffic_manager_profile.this[0].monitor_config[0].protocol == "HTTPS"
    error_message = "this region before the other, asked by HTTPS"
  }
  assert {
    condition     = azurerm_monitor_metric_alert.region[0].severity == 0
    error_message = "somebody is told when a region is not ready"
  }
  assert {
    condition     = azurerm_dns_a_record.this[0].name == "@" && azurerm_dns_a_record.this[0].ttl == 30
    error_message = "the name follows within half a minute"
  }
}

run "below_the_zone" {
  command = plan
  variables {
    domain                       = "staging.titanic.example"
    dns_zone_name                = "titanic.example"
    dns_zone_resource_group_name = "titanic-dns"
  }
  assert {
    condition     = azurerm_dns_a_record.this[0].name == "staging"
    error_message = "the record is the name without the zone"
  }
}

run "a_name_for_a_target" {
  command = plan
  variables {
    standby = { location = "westeurope", address = "a.westeurope.cloudapp.azure.com", action_group_id = "" }
  }
  expect_failures = [var.standby]
}
