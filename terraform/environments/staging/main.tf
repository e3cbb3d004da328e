module "platform" {
  source                = "../../modules/platform"
  name                  = "titanic-staging"
  location              = var.location
  subscription_id       = var.subscription_id
  namespace             = "titanic-staging"
  tags                  = { environment = "staging", team = var.team, cost_center = var.cost_center, managed_by = "terraform" }
  tenant_id             = var.tenant_id
  deployer_principal_id = var.deployer_principal_id
  address_space         = "10.20.0.0/16"
  allowed_sources       = var.allowed_sources
  locked                = false
  nodes                 = { size = "Standard_D2s_v3", min = 2, max = 4, zones = ["1", "2", "3"] }
  database              = { sku_name = "GP_Standard_D2ds_v5", storage_mb = 65536, high_availability = false }
  redis                 = { sku_name = "Standard", capacity = 0 }
  registry              = { sku = "Standard" }
  admin_group_ids       = var.admin_group_ids
  domain                = "staging.titanic.example"
  dns_zone              = var.dns_zone
  email                 = var.email
  budget                = { amount = 900, start_date = var.budget_start }
  secrets               = var.secrets
  release_subject       = var.release_subject
}
