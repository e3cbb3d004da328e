# The state: in a storage account with versions and a lease, made once by hand (terraform/DEPLOYMENT_RUNBOOK.md). Nobody's laptop holds one.
terraform {
  backend "azurerm" {
    resource_group_name  = "titanic-terraform"
    storage_account_name = "titanicterraform"
    container_name       = "state"
    key                  = "staging.tfstate"
    use_azuread_auth     = true
  }
}
