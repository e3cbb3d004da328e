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

# Over two regions: the first that answers /health/ready, asked every 10 s; more than three misses and the other one takes over. It is DNS alone: no second public way in, as a proxy of Azure's would be.
resource "azurerm_traffic_manager_profile" "this" {
  count                  = var.standby == null ? 0 : 1
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
  for_each = var.standby == null ? {} : {
    (var.location)         = { address = azurerm_public_ip.ingress.ip_address, priority = 1 }
    (var.standby.location) = { address = var.standby.address, priority = 2 }
  }
  name       = each.key
  profile_id = azurerm_traffic_manager_profile.this[0].id
  target     = each.value.address # an address and no name: the record at the top of a zone takes no other
  priority   = each.value.priority
}

# A region that no longer answers is told even where callers notice nothing.
resource "azurerm_monitor_metric_alert" "region" {
  count               = var.standby == null ? 0 : 1
  name                = "${var.name}-region"
  resource_group_name = var.resource_group_name
  description         = "A region does not answer /health/ready."
  scopes              = [azurerm_traffic_manager_profile.this[0].id]
  severity            = 0
  frequency           = "PT1M"
  window_size         = "PT5M"
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.Network/trafficManagerProfiles"
    metric_name      = "ProbeAgentCurrentEndpointStateByProfileResourceId"
    aggregation      = "Maximum"
    operator         = "LessThan"
    threshold        = 1

    dimension {
      name     = "EndpointName"
      operator = "Include"
      values   = ["*"]
    }
  }

  action {
    action_group_id = var.standby.action_group_id
  }
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
  target_resource_id  = var.standby != null ? azurerm_traffic_manager_profile.this[0].id : azurerm_public_ip.ingress.id
  tags                = var.tags
}
