locals {
  parameters = {
    require_secure_transport              = "on"
    ssl_min_protocol_version              = "TLSv1.2"
    "pgbouncer.enabled"                   = "true"
    "pgbouncer.pool_mode"                 = "transaction"
    "pgbouncer.default_pool_size"         = "20"
    "pgbouncer.ignore_startup_parameters" = "extra_float_digits,options"
    log_lock_waits                        = "on"
    log_min_duration_statement            = "1000"
    idle_in_transaction_session_timeout   = "60000"
    track_io_timing                       = "on"
    "pg_stat_statements.track"            = "top"
    "azure.extensions"                    = "PG_TRGM,UNACCENT,PG_STAT_STATEMENTS"
    "metrics.collector_database_activity" = "on"
    "metrics.autovacuum_diagnostics"      = "on"
  }
  replicas = var.replica == null ? 0 : 1
  # A burstable size has no PgBouncer.
  supported = { for name, value in local.parameters : name => value if !startswith(name, "pgbouncer.") || !startswith(var.sku_name, "B_") }
}

resource "azurerm_postgresql_flexible_server" "this" {
  name                          = var.name
  location                      = var.location
  resource_group_name           = var.resource_group_name
  version                       = "15"
  sku_name                      = var.sku_name
  storage_mb                    = var.storage_mb
  auto_grow_enabled             = true
  zone                          = var.zones[0]
  backup_retention_days         = var.backup_retention_days
  geo_redundant_backup_enabled  = var.geo_redundant_backup
  public_network_access_enabled = false
  administrator_login           = "titanic_admin"
  administrator_password        = var.administrator_password
  tags                          = var.tags

  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = true
    tenant_id                     = var.tenant_id
  }

  dynamic "high_availability" {
    for_each = var.high_availability ? [1] : []
    content {
      mode                      = "ZoneRedundant"
      standby_availability_zone = var.zones[1]
    }
  }

  maintenance_window {
    day_of_week  = 0
    start_hour   = 3
    start_minute = 0
  }

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [zone, high_availability[0].standby_availability_zone, storage_mb, create_mode, source_server_id] # a failover swaps zones, a promotion roles, and the disk grows by itself

    precondition {
      condition     = !(var.high_availability && startswith(var.sku_name, "B_"))
      error_message = "A burstable size (B_) has no standby: take GP_ or MO_, or high_availability = false."
    }
  }
}

resource "azurerm_postgresql_flexible_server_database" "this" {
  name      = "titanic"
  server_id = azurerm_postgresql_flexible_server.this.id
  charset   = "UTF8"
  collation = "en_US.utf8"

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_postgresql_flexible_server_configuration" "this" {
  for_each  = local.supported
  name      = each.key
  server_id = azurerm_postgresql_flexible_server.this.id
  value     = each.value
}

# In the second region, and in that region's group: what is in a group cannot be changed while the group's own region is out, and then the replica must be promoted.
resource "azurerm_postgresql_flexible_server" "replica" {
  count                         = local.replicas
  name                          = "${var.name}-replica"
  location                      = var.replica.location
  resource_group_name           = var.replica.resource_group_name
  create_mode                   = "Replica"
  source_server_id              = azurerm_postgresql_flexible_server.this.id
  sku_name                      = var.sku_name # as the primary: servers of two sizes cannot change roles
  storage_mb                    = var.storage_mb
  auto_grow_enabled             = true
  public_network_access_enabled = false
  tags                          = var.tags

  # Promotion takes over no setting of the primary's, so that they are here from the first day.
  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = true
    tenant_id                     = var.tenant_id
  }

  lifecycle {
    prevent_destroy = true                                              # once promoted, it has the only copy
    ignore_changes  = [create_mode, source_server_id, zone, storage_mb] # roles change, the disk grows by itself
  }
}

# Promoted, it must pool and refuse as the primary did.
resource "azurerm_postgresql_flexible_server_configuration" "replica" {
  for_each  = local.replicas == 1 ? local.supported : {}
  name      = each.key
  server_id = azurerm_postgresql_flexible_server.replica[0].id
  value     = each.value
}

# NAME.writer.postgres.database.azure.com leads to whichever server is the primary: a promotion changes no host's configuration. Without it Azure lets no replica change roles with its primary.
resource "azurerm_postgresql_flexible_server_virtual_endpoint" "this" {
  count             = local.replicas
  name              = "${var.name}-db"
  source_server_id  = azurerm_postgresql_flexible_server.this.id
  replica_server_id = azurerm_postgresql_flexible_server.replica[0].id
  type              = "ReadWrite"

  lifecycle {
    ignore_changes = [source_server_id, replica_server_id] # swapped by a promotion
  }
}

resource "azurerm_private_endpoint" "this" {
  for_each = merge(
    { primary = { server = azurerm_postgresql_flexible_server.this.id, location = var.location, group = var.resource_group_name, subnet = var.subnet_id } },
    var.replica == null ? {} : { replica = { server = azurerm_postgresql_flexible_server.replica[0].id, location = var.replica.location, group = var.replica.resource_group_name, subnet = var.replica.subnet_id } }
  )
  name                = "${var.name}-database-${each.key}"
  location            = each.value.location
  resource_group_name = each.value.group
  subnet_id           = each.value.subnet
  tags                = var.tags

  private_service_connection {
    name                           = "database"
    private_connection_resource_id = each.value.server
    subresource_names              = ["postgresqlServer"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "database"
    private_dns_zone_ids = [var.dns_zone_id]
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "database"
  target_resource_id         = azurerm_postgresql_flexible_server.this.id
  log_analytics_workspace_id = var.log_analytics_workspace_id
  enabled_log { category = "PostgreSQLLogs" }
  enabled_log { category = "PostgreSQLFlexSessions" }
  enabled_log { category = "PostgreSQLFlexQueryStoreRuntime" }
  enabled_metric { category = "AllMetrics" }
}

resource "azurerm_monitor_diagnostic_setting" "replica" {
  count                      = local.replicas
  name                       = "database"
  target_resource_id         = azurerm_postgresql_flexible_server.replica[0].id
  log_analytics_workspace_id = var.replica.log_analytics_workspace_id
  enabled_log { category = "PostgreSQLLogs" }
  enabled_log { category = "PostgreSQLFlexSessions" }
  enabled_log { category = "PostgreSQLFlexQueryStoreRuntime" }
  enabled_metric { category = "AllMetrics" }
}

# How far the replica is behind is what a forced promotion loses.
resource "azurerm_monitor_metric_alert" "lag" {
  count               = local.replicas
  name                = "${var.name}-replica-lag"
  resource_group_name = var.replica.resource_group_name
  description         = "The replica is more than a minute behind: promoted by force, it would lose as much."
  scopes              = [azurerm_postgresql_flexible_server.replica[0].id]
  severity            = 1
  frequency           = "PT1M"
  window_size         = "PT5M"
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.DBforPostgreSQL/flexibleServers"
    metric_name      = "physical_replication_delay_in_seconds"
    aggregation      = "Maximum"
    operator         = "GreaterThan"
    threshold        = 60
  }

  action {
    action_group_id = var.replica.action_group_id
  }
}
