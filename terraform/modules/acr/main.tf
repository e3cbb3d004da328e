locals {
  premium = var.sku == "Premium"
}

resource "azurerm_container_registry" "this" {
  name                          = replace(var.name, "-", "")
  location                      = var.location
  resource_group_name           = var.resource_group_name
  sku                           = var.sku
  admin_enabled                 = false # identities pull and push, no password
  anonymous_pull_enabled        = false
  public_network_access_enabled = !local.premium # the lower tiers know no other
  zone_redundancy_enabled       = local.premium
  data_endpoint_enabled         = local.premium
  export_policy_enabled         = !local.premium
  retention_policy_in_days      = local.premium ? 30 : null
  tags                          = var.tags

  dynamic "georeplications" {
    for_each = local.premium ? var.replica_locations : []
    content {
      location                = georeplications.value
      zone_redundancy_enabled = true
      tags                    = var.tags
    }
  }
}

resource "azurerm_private_endpoint" "this" {
  count               = local.premium ? 1 : 0
  name                = "${var.name}-registry"
  location            = var.location
  resource_group_name = var.resource_group_name
  subnet_id           = var.subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "registry"
    private_connection_resource_id = azurerm_container_registry.this.id
    subresource_names              = ["registry"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "registry"
    private_dns_zone_ids = [var.dns_zone_id]
  }
}
