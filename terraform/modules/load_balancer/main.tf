# The address of the ingress, in every zone. ingress-nginx takes it by the annotations service.beta.kubernetes.io/azure-pip-name and azure-load-balancer-resource-group.
resource "azurerm_public_ip" "ingress" {
  name                = "${var.name}-ingress"
  location            = var.location
  resource_group_name = var.resource_group_name
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = ["1", "2", "3"]
  domain_name_label   = var.name
  tags                = var.tags

  lifecycle {
    prevent_destroy = true # callers have it in their firewalls
  }
}

# It looks for the address in the whole group.
resource "azurerm_role_assignment" "ingress" {
  scope                = var.resource_group_id
  role_definition_name = "Network Contributor"
  principal_id         = var.cluster_principal_id
}

# Over two regions: the first that answers /health/ready, asked every 10 s; three misses and the other one takes over.
resource "azurerm_traffic_manager_profile" "this" {
  count                  = length(var.regions) > 1 ? 1 : 0
  name                   = var.name
  resource_group_name    = var.resource_group_name
  traffic_routing_method = "Priority"
  tags                   = var.tags

  dns_config {
    relative_name = var.name
    ttl           = 30
  }

  monitor_config {
    protocol                     = "HTTPS"
    port                         = 443
    path                         = "/health/ready"
    interval_in_seconds          = 10
    timeout_in_seconds           = 5
    tolerated_number_of_failures = 3
    expected_status_code_ranges  = ["200-200"]

    custom_header {
      name  = "Host"
      value = var.domain
    }
  }
}

resource "azurerm_traffic_manager_external_endpoint" "this" {
  for_each   = length(var.regions) > 1 ? var.regions : {}
  name       = each.key
  profile_id = azurerm_traffic_manager_profile.this[0].id
  target     = each.value.target
  priority   = each.value.priority
}

locals {
  label  = trimsuffix(trimsuffix(var.domain, var.dns_zone_name), ".")
  record = local.label == "" ? "@" : local.label
}

resource "azurerm_dns_a_record" "this" {
  count               = var.dns_zone_name != "" ? 1 : 0
  name                = local.record
  zone_name           = var.dns_zone_name
  resource_group_name = var.dns_zone_resource_group_name
  ttl                 = 30
  target_resource_id  = length(var.regions) > 1 ? azurerm_traffic_manager_profile.this[0].id : azurerm_public_ip.ingress.id
  tags                = var.tags
}
