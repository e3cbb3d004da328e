resource "azurerm_redis_cache" "this" {
  name                          = var.name
  location                      = var.location
  resource_group_name           = var.resource_group_name
  capacity                      = var.capacity
  family                        = var.sku_name == "Premium" ? "P" : "C"
  sku_name                      = var.sku_name
  redis_version                 = "6"
  non_ssl_port_enabled          = false
  minimum_tls_version           = "1.2"
  public_network_access_enabled = false
  zones                         = var.sku_name == "Premium" ? ["1", "2", "3"] : null
  tags                          = var.tags

  redis_configuration {
    maxmemory_policy = "allkeys-lru" # nothing in it cannot be made again
  }

  patch_schedule {
    day_of_week    = "Sunday"
    start_hour_utc = 3
  }
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.name}-redis"
  location            = var.location
  resource_group_name = var.resource_group_name
  subnet_id           = var.subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "redis"
    private_connection_resource_id = azurerm_redis_cache.this.id
    subresource_names              = ["redisCache"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "redis"
    private_dns_zone_ids = [var.dns_zone_id]
  }
}
