# By tags over the whole subscription: nodes, their disks and load balancer are in a group of their own, which the cluster makes.
resource "azurerm_consumption_budget_subscription" "this" {
  name            = "${var.name}-budget"
  subscription_id = var.subscription_id
  amount          = var.amount
  time_grain      = "Monthly"

  time_period {
    start_date = var.start_date
  }

  filter {
    dynamic "tag" {
      for_each = { environment = var.tags.environment, cost_center = var.tags.cost_center }
      content {
        name   = tag.key
        values = [tag.value]
      }
    }
  }

  dynamic "notification" {
    for_each = [{ threshold = 80, type = "Actual" }, { threshold = 100, type = "Actual" }, { threshold = 100, type = "Forecasted" }]
    content {
      threshold      = notification.value.threshold
      threshold_type = notification.value.type
      operator       = "GreaterThanOrEqualTo"
      contact_emails = var.emails
    }
  }
}
