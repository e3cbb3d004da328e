mock_provider "azurerm" {}

variables {
  name     = "titanic-test"
  location = "eastus"
  tags     = { environment = "test", team = "titanic", cost_center = "cc-1912" }
}

run "unlocked" {
  command = plan
  assert {
    condition     = length(azurerm_management_lock.this) == 0 && azurerm_resource_group.this.tags.cost_center == "cc-1912"
    error_message = "tags without a lock"
  }
}

run "locked" {
  command = plan
  variables {
    locked = true
  }
  assert {
    condition     = azurerm_management_lock.this[0].lock_level == "CanNotDelete"
    error_message = "nothing may be deleted"
  }
}

run "tags_are_required" {
  command = plan
  variables {
    tags = { environment = "test", team = "" }
  }
  expect_failures = [var.tags]
}
