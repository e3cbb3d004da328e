# One region of the Titanic API: what an environment is made of.
module "resource_group" {
  source   = "../resource_group"
  name     = var.name
  location = var.location
  locked   = var.locked
  tags     = var.tags
}

module "monitoring" {
  source              = "../monitoring"
  name                = var.name
  location            = var.location
  resource_group_name = module.resource_group.name
  email               = var.email
  tags                = var.tags
}

module "network" {
  source              = "../network"
  name                = var.name
  location            = var.location
  resource_group_name = module.resource_group.name
  address_space       = var.address_space
  peers               = var.peers
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
  sku_tier                   = var.nodes.sku_tier
  spot                       = var.nodes.spot
  nodes_subnet_id            = module.network.subnet_ids["nodes"]
  admin_group_ids            = var.admin_group_ids
  tenant_id                  = var.tenant_id
  log_analytics_workspace_id = module.monitoring.workspace_id
  tags                       = var.tags
}

module "acr" {
  source              = "../acr"
  name                = var.name
  location            = var.location
  resource_group_name = module.resource_group.name
  sku                 = var.registry.sku
  replica_locations   = var.registry.replica_locations
  subnet_id           = module.network.subnet_ids["endpoints"]
  dns_zone_id         = module.network.dns_zone_ids["registry"]
  tags                = var.tags
}

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

module "key_vault" {
  source                     = "../key_vault"
  name                       = var.name
  location                   = var.location
  resource_group_name        = module.resource_group.name
  tenant_id                  = var.tenant_id
  rotation                   = var.secrets.rotation
  expires                    = var.secrets.expires
  redis_url                  = module.redis.url
  deployer_principal_id      = var.deployer_principal_id
  subnet_id                  = module.network.subnet_ids["endpoints"]
  dns_zone_id                = module.network.dns_zone_ids["key_vault"]
  log_analytics_workspace_id = module.monitoring.workspace_id
  tags                       = var.tags
}

module "database" {
  source                     = "../database"
  name                       = var.name
  location                   = var.location
  resource_group_name        = module.resource_group.name
  sku_name                   = var.database.sku_name
  storage_mb                 = var.database.storage_mb
  high_availability          = var.database.high_availability
  backup_retention_days      = var.database.backup_days
  replica                    = var.database.replica
  geo_redundant_backup       = var.database.geo_backup
  tenant_id                  = var.tenant_id
  administrator_password     = module.key_vault.database_administrator_password
  subnet_id                  = module.network.subnet_ids["database"]
  dns_zone_id                = module.network.dns_zone_ids["database"]
  log_analytics_workspace_id = module.monitoring.workspace_id
  tags                       = var.tags
}

module "load_balancer" {
  source                       = "../load_balancer"
  name                         = var.name
  location                     = var.location
  resource_group_name          = module.resource_group.name
  resource_group_id            = module.resource_group.id
  domain                       = var.domain
  dns_zone_name                = var.dns_zone.name
  dns_zone_resource_group_name = var.dns_zone.resource_group_name
  standby                      = var.standby == null ? null : { location = var.standby.location, address = var.standby.address, action_group_id = module.monitoring.action_group_id }
  cluster_principal_id         = module.aks.cluster_principal_id
  tags                         = var.tags
}

module "iam" {
  source               = "../iam"
  name                 = var.name
  location             = var.location
  resource_group_name  = module.resource_group.name
  oidc_issuer_url      = module.aks.oidc_issuer_url
  kubelet_principal_id = module.aks.kubelet_principal_id
  key_vault_id         = module.key_vault.id
  registry_id          = module.acr.id
  namespace            = var.namespace
  release_subject      = var.release_subject
  tags                 = var.tags
}

module "budget" {
  source          = "../budget"
  name            = var.name
  subscription_id = "/subscriptions/${var.subscription_id}"
  amount          = var.budget.amount
  start_date      = var.budget.start_date
  emails          = [var.email]
  tags            = var.tags
}
