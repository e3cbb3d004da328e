module "platform" {
  source                = "../../modules/platform"
  name                  = local.name
  location              = var.location
  subscription_id       = var.subscription_id
  namespace             = local.namespace
  tags                  = local.tags
  tenant_id             = var.tenant_id
  deployer_principal_id = var.deployer_principal_id
  address_space         = local.address_space
  allowed_sources       = var.allowed_sources
  locked                = true
  nodes                 = { size = "Standard_D4s_v3", min = 3, max = 5, zones = ["1", "2", "3"] }
  database              = { sku_name = "GP_Standard_D2ds_v5", storage_mb = 131072, high_availability = true, geo_backup = true, replica = one(module.standby[*].replica) }
  redis                 = { sku_name = "Standard", capacity = 1 }
  registry              = { sku = "Premium", replica_locations = var.second_region[*].location }
  admin_group_ids       = var.admin_group_ids
  domain                = local.domain
  dns_zone              = var.dns_zone
  standby               = var.second_region == null ? null : { location = var.second_region.location, address = module.standby[0].ingress_address.address }
  peers                 = { for region in var.second_region[*] : region.location => { id = module.standby[0].network_id, address_space = region.address_space } }
  email                 = var.email
  budget                = { amount = var.second_region == null ? 2700 : 4000, start_date = var.budget_start }
  secrets               = var.secrets
  release_subject       = var.release_subject
}
