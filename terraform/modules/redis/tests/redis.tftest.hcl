mock_provider "azurerm" {}

variables {
  name                = "titanic-test"
  location            = "eastus"
  resource_group_name = "titanic-test"
  tags                = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  subnet_id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/virtualNetworks/titanic-test-network/subnets/redis"
  dns_zone_id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.Network/privateDnsZones/privatelink.redis.cache.windows.net"
}

run "standard" {
  command = plan
  assert {
    condition     = !azurerm_redis_cache.this.non_ssl_port_enabled && azurerm_redis_cache.this.minimum_tls_version == "1.2" && !azurerm_redis_cache.this.public_network_access_enabled && azurerm_redis_cache.this.family == "C"
    error_message = "TLS alone, private"
  }
}

run "premium" {
  command = plan
  variables {
    sku_name = "Premium"
    capacity = 1
  }
  assert {
    condition     = azurerm_redis_cache.this.family == "P" && length(azurerm_redis_cache.this.zones) == 3
    error_message = "in every zone"
  }
}

run "no_such_tier" {
  command = plan
  variables {
    sku_name = "Enterprise"
  }
  expect_failures = [var.sku_name]
}
