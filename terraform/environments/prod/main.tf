module "platform" {
  source                = "../../modules/platform"
  name                  = "titanic-prod"
  location              = var.location
  subscription_id       = var.subscription_id
  namespace             = "titanic"
  tags                  = { environment = "prod", team = var.team, cost_center = var.cost_center, managed_by = "terraform" }
  tenant_id             = var.tenant_id
  deployer_principal_id = var.deployer_principal_id
  address_space         = "10.10.0.0/16"
  allowed_sources       = var.allowed_sources
  locked                = true
  nodes                 = { size = "Standard_D4s_v3", min = 3, max = 5, zones = ["1", "2", "3"] }
  database              = { sku_name = "GP_Standard_D2ds_v5", storage_mb = 131072, high_availability = true, geo_backup = true, replica_location = var.second_region.location, replica_subnet_id = var.second_region.replica_subnet_id }
  redis                 = { sku_name = "Standard", capacity = 1 }
  registry              = { sku = "Premium", replica_locations = compact([var.second_region.location]) }
  admin_group_ids       = var.admin_group_ids
  domain                = "titanic.example"
  dns_zone              = var.dns_zone
  regions               = var.regions
  peers                 = var.peers
  email                 = var.email
  budget                = { amount = 2700, start_date = var.budget_start }
  secrets               = var.secrets
  release_subject       = var.release_subject
}
