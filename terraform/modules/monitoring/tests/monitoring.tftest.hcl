mock_provider "azurerm" {}

variables {
  name                = "titanic-test"
  location            = "eastus"
  resource_group_name = "titanic-test"
  tags                = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  email               = "operators@titanic.example"
}

run "logs" {
  command = plan
  assert {
    condition     = azurerm_log_analytics_workspace.this.retention_in_days == 30 && azurerm_log_analytics_workspace.this.daily_quota_gb == 5
    error_message = "bounded in time and in size"
  }
}

run "shorter_than_azure_takes" {
  command = plan
  variables {
    retention_days = 15
  }
  expect_failures = [var.retention_days]
}

run "no_address" {
  command = plan
  variables {
    email = "operators"
  }
  expect_failures = [var.email]
}
