resource "azurerm_key_vault" "this" {
  name                          = var.name
  location                      = var.location
  resource_group_name           = var.resource_group_name
  tenant_id                     = var.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = false
  tags                          = var.tags

  network_acls {
    default_action = "Deny"
    bypass         = "AzureServices"
  }
}

resource "azurerm_role_assignment" "deployer" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Administrator"
  principal_id         = var.deployer_principal_id
}

resource "random_password" "this" {
  for_each = toset(["database-administrator", "database-password", "api-key-pepper"])
  length   = 40
  special  = false                                                          # no escaping anywhere; 40 letters and digits are 238 bits
  keepers  = { rotation = each.key == "api-key-pepper" ? 1 : var.rotation } # another pepper would end every API key
}

resource "azurerm_key_vault_secret" "this" {
  for_each        = random_password.this
  name            = each.key
  value           = each.value.result
  key_vault_id    = azurerm_key_vault.this.id
  content_type    = "text/plain"
  expiration_date = each.key == "api-key-pepper" ? null : var.expires
  tags            = var.tags
  depends_on      = [azurerm_role_assignment.deployer, azurerm_private_endpoint.this]
}

resource "azurerm_key_vault_secret" "redis" {
  name            = "redis-url"
  value           = var.redis_url
  key_vault_id    = azurerm_key_vault.this.id
  content_type    = "text/plain"
  expiration_date = var.expires
  tags            = var.tags
  depends_on      = [azurerm_role_assignment.deployer, azurerm_private_endpoint.this]
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.name}-vault"
  location            = var.location
  resource_group_name = var.resource_group_name
  subnet_id           = var.subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "vault"
    private_connection_resource_id = azurerm_key_vault.this.id
    subresource_names              = ["vault"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "vault"
    private_dns_zone_ids = [var.dns_zone_id]
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "vault"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = var.log_analytics_workspace_id
  enabled_log { category = "AuditEvent" }
}
