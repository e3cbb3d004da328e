module "platform" {
  source                = "../../modules/platform"
  name                  = "titanic-dev"
  location              = var.location
  subscription_id       = var.subscription_id
  namespace             = "titanic-dev"
  tags                  = { environment = "dev", team = var.team, cost_center = var.cost_center, managed_by = "terraform" }
  tenant_id             = var.tenant_id
  deployer_principal_id = var.deployer_principal_id
  address_space         = "10.30.0.0/16"
  allowed_sources       = var.allowed_sources
  locked                = false
  nodes                 = { size = "Standard_D2s_v3", min = 1, max = 3, zones = ["1", "2", "3"], sku_tier = "Free", spot = true }
  database              = { sku_name = "B_Standard_B1ms", storage_mb = 32768, high_availability = false, backup_days = 7 }
  redis                 = { sku_name = "Basic", capacity = 0 }
  registry              = { sku = "Basic" }
  admin_group_ids       = var.admin_group_ids
  domain                = "dev.titanic.example"
  dns_zone              = var.dns_zone
  email                 = var.email
  budget                = { amount = 350, start_date = var.budget_start }
  secrets               = var.secrets
  release_subject       = var.release_subject
}
