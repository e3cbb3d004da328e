mock_provider "azurerm" {}
mock_provider "random" {}

variables {
  name                  = "titanic-test"
  location              = "eastus"
  subscription_id       = "00000000-0000-0000-0000-000000000000"
  namespace             = "titanic"
  tags                  = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  tenant_id             = "00000000-0000-0000-0000-000000000000"
  deployer_principal_id = "00000000-0000-0000-0000-000000000000"
  address_space         = "10.10.0.0/16"
  nodes                 = { size = "Standard_D4s_v3", min = 3, max = 5 }
  database              = { sku_name = "GP_Standard_D2ds_v5" }
  redis                 = { sku_name = "Standard", capacity = 0 }
  registry              = { sku = "Premium" }
  admin_group_ids       = ["00000000-0000-0000-0000-000000000000"]
  domain                = "titanic.example"
  email                 = "operators@titanic.example"
  budget                = { amount = 1500, start_date = "2026-12-01T00:00:00Z" }
  secrets               = { rotation = 1, expires = "2027-06-01T00:00:00Z" }
}

run "whole" {
  command = plan
  assert {
    condition     = module.resource_group.name == "titanic-test"
    error_message = "everything is in one group"
  }
}

run "tags_are_required" {
  command = plan
  variables {
    tags = { environment = "test" }
  }
  expect_failures = [var.tags]
}
