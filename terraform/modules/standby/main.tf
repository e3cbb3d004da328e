# A second region that waits: all that is regional, made of the modules the first one is made of. What there is once (the registry, the vault, the database and its replica, the name callers use, the budget) stays modules/platform's.
module "resource_group" {
  source   = "../resource_group"
  name     = var.name
  location = var.location
  locked   = var.locked
  tags     = var.tags
}

# A workspace of its own: the logs of a failover are not in the region that failed.
module "monitoring" {
  source              = "../monitoring"
  name                = var.name
  location            = var.location
  resource_group_name = module.resource_group.name
  email               = var.email
  tags                = var.tags
}

# Names of databases and of Redis differ between the regions and stand in one zone each. The vault and the registry have one name in both and a private endpoint in each: a zone has one answer to a name, so that this region has zones of its own for them.
module "network" {
  source              = "../network"
  name                = var.name
  location            = var.location
  resource_group_name = module.resource_group.name
  address_space       = var.address_space
  peers               = { (var.primary.location) = { id = var.primary.network_id, address_space = var.primary.address_space } }
  shared_dns_zones    = { for zone in ["database", "redis"] : zone => var.primary.dns_zone_ids[zone] }
  allowed_sources     = var.allowed_sources
  tags                = var.tags
}

module "aks" {
  source                     = "../aks"
  name                       = var.name
  location                   = var.location
  resource_group_name        = module.resource_group.name
  node_size                  = var.nodes.size
  min_nodes                  = var.nodes.min
  max_nodes                  = var.nodes.max
  zones                      = var.nodes.zones
  nodes_subnet_id            = module.network.subnet_ids["nodes"]
  admin_group_ids            = var.admin_group_ids
  tenant_id                  = var.tenant_id
  log_analytics_workspace_id = module.monitoring.workspace_id
  tags                       = var.tags
}

# Argo CD and the operators of the first region find this cluster's API server, which has no public name.
resource "azurerm_private_dns_zone_virtual_network_link" "api_server" {
  name                  = var.primary.name
  resource_group_name   = module.aks.private_dns_zone.resource_group_name
  private_dns_zone_name = module.aks.private_dns_zone.name
  virtual_network_id    = var.primary.network_id
  tags                  = var.tags
}

# Nothing in it cannot be made again, so that it is not a copy of the first region's.
module "redis" {
  source              = "../redis"
  name                = var.name
  location            = var.location
  resource_group_name = module.resource_group.name
  sku_name            = var.redis.sku_name
  capacity            = var.redis.capacity
  subnet_id           = module.network.subnet_ids["redis"]
  dns_zone_id         = module.network.dns_zone_ids["redis"]
  tags                = var.tags
}

# The vault is the first region's, reached by an endpoint here. A vault of its own would hold the same password and the same pepper, and could come to hold others. When the first region is out, Azure serves the vault read-only from its paired region, and the Secret that External Secrets has made stays in the cluster even without it: what is lost meanwhile is rotation.
resource "azurerm_private_endpoint" "shared" {
  for_each = {
    vault    = { id = var.primary.key_vault_id, zone = "key_vault" }
    registry = { id = var.primary.registry_id, zone = "registry" }
  }
  name                = "${var.name}-${each.key}"
  location            = var.location
  resource_group_name = module.resource_group.name
  subnet_id           = module.network.subnet_ids["endpoints"]
  tags                = var.tags

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = each.value.id
    subresource_names              = [each.key]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = each.key
    private_dns_zone_ids = [module.network.dns_zone_ids[each.value.zone]]
  }
}

# The one secret the regions do not share.
resource "azurerm_key_vault_secret" "redis" {
  name            = "redis-url-${var.location}"
  value           = module.redis.url
  key_vault_id    = var.primary.key_vault_id
  content_type    = "text/plain"
  expiration_date = var.secrets_expire
  tags            = var.tags
}

module "load_balancer" {
  source               = "../load_balancer"
  name                 = var.name
  location             = var.location
  resource_group_name  = module.resource_group.name
  resource_group_id    = module.resource_group.id
  domain               = var.domain
  cluster_principal_id = module.aks.cluster_principal_id
  tags                 = var.tags
}

module "iam" {
  source               = "../iam"
  name                 = var.name
  location             = var.location
  resource_group_name  = module.resource_group.name
  oidc_issuer_url      = module.aks.oidc_issuer_url
  kubelet_principal_id = module.aks.kubelet_principal_id
  key_vault_id         = var.primary.key_vault_id
  registry_id          = var.primary.registry_id
  namespace            = var.namespace
  secrets              = ["database-password", "api-key-pepper", azurerm_key_vault_secret.redis.name]
  dns_zone_id          = var.dns_zone_id
  tags                 = var.tags
}
