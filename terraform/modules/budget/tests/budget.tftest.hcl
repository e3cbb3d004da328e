mock_provider "azurerm" {}

variables {
  name            = "titanic-test"
  tags            = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  subscription_id = "/subscriptions/00000000-0000-0000-0000-000000000000"
  amount          = 1500
  start_date      = "2026-12-01T00:00:00Z"
  emails          = ["operators@titanic.example"]
}

run "who_is_told_when" {
  command = plan
  assert {
    condition     = toset([for n in azurerm_consumption_budget_subscription.this.notification : "${n.threshold_type} ${n.threshold}"]) == toset(["Actual 80", "Actual 100", "Forecasted 100"])
    error_message = "80 % and 100 % spent, 100 % foreseen"
  }
}

run "in_the_middle_of_a_month" {
  command = plan
  variables {
    start_date = "2026-12-15T00:00:00Z"
  }
  expect_failures = [var.start_date]
}

run "nobody" {
  command = plan
  variables {
    emails = []
  }
  expect_failures = [var.emails]
}

run "nodes_are_counted" {
  command = plan
  assert {
    condition     = toset([for t in azurerm_consumption_budget_subscription.this.filter[0].tag : t.name]) == toset(["environment", "cost_center"])
    error_message = "by tags, wherever a resource is"
  }
}
