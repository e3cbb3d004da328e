# What production alone has: a second region that waits (terraform/DEPLOYMENT_RUNBOOK.md). Unset, there is one.
variable "second_region" {
  description = "Region that takes over when the first one fails, and its network's /16, which overlaps with no other; none when null."
  type        = object({ location = string, address_space = optional(string, "10.11.0.0/16") })
  default     = null
}

locals {
  name          = "titanic-prod"
  namespace     = "titanic"
  domain        = "titanic.example"
  address_space = "10.10.0.0/16"
  tags          = { environment = "prod", team = var.team, cost_center = var.cost_center, managed_by = "terraform" }
}

module "standby" {
  count           = var.second_region == null ? 0 : 1
  source          = "../../modules/standby"
  name            = "${local.name}-eu"
  location        = var.second_region.location
  namespace       = local.namespace
  tags            = local.tags
  tenant_id       = var.tenant_id
  address_space   = var.second_region.address_space
  allowed_sources = var.allowed_sources
  locked          = true
  nodes           = { size = "Standard_D4s_v3", min = 2, max = 5 }
  redis           = { sku_name = "Standard", capacity = 1 }
  admin_group_ids = var.admin_group_ids
  domain          = local.domain
  dns_zone_id     = var.dns_zone.name == "" ? "" : "/subscriptions/${var.subscription_id}/resourceGroups/${var.dns_zone.resource_group_name}/providers/Microsoft.Network/dnsZones/${var.dns_zone.name}"
  email           = var.email
  secrets_expire  = var.secrets.expires

  primary = {
    name          = local.name
    location      = var.location
    network_id    = module.platform.network_id
    address_space = local.address_space
    dns_zone_ids  = module.platform.dns_zone_ids
    key_vault_id  = module.platform.key_vault_id
    registry_id   = module.platform.registry_id
  }
}

output "second_region" {
  description = "Names and addresses of what was made in the second region."
  value       = one(module.standby)
  sensitive   = true
}
