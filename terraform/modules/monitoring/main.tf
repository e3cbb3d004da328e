resource "azurerm_log_analytics_workspace" "this" {
  name                = "${var.name}-logs"
  location            = var.location
  resource_group_name = var.resource_group_name
  sku                 = "PerGB2018"
  retention_in_days   = var.retention_days
  daily_quota_gb      = var.daily_quota_gb
  tags                = var.tags
}

resource "azurerm_monitor_action_group" "this" {
  name                = "${var.name}-operators"
  resource_group_name = var.resource_group_name
  short_name          = "titanic"
  tags                = var.tags

  email_receiver {
    name                    = "operators"
    email_address           = var.email
    use_common_alert_schema = true
  }
}
