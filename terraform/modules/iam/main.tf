# External Secrets reads the vault as this, by the service account titanic-secrets (deploy/k8s/components/external-secrets).
resource "azurerm_user_assigned_identity" "secrets" {
  name                = "${var.name}-secrets"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "secrets" {
  name                = "titanic-secrets"
  resource_group_name = var.resource_group_name
  parent_id           = azurerm_user_assigned_identity.secrets.id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = var.oidc_issuer_url
  subject             = "system:serviceaccount:${var.namespace}:titanic-secrets"
}

# These alone: whoever may make an ExternalSecret in the namespace could read every other one too.
resource "azurerm_role_assignment" "secrets" {
  for_each             = toset(var.secrets)
  scope                = "${var.key_vault_id}/secrets/${each.key}"
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.secrets.principal_id
}

resource "azurerm_role_assignment" "pull" {
  scope                = var.registry_id
  role_definition_name = "AcrPull"
  principal_id         = var.kubelet_principal_id
}

# cert-manager proves by a DNS record that the name is ours, where requests to the name do not arrive: in a region that waits.
resource "azurerm_user_assigned_identity" "certificates" {
  count               = var.dns_zone_id != "" ? 1 : 0
  name                = "${var.name}-certificates"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "certificates" {
  count               = var.dns_zone_id != "" ? 1 : 0
  name                = "cert-manager"
  resource_group_name = var.resource_group_name
  parent_id           = azurerm_user_assigned_identity.certificates[0].id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = var.oidc_issuer_url
  subject             = "system:serviceaccount:cert-manager:cert-manager"
}

resource "azurerm_role_assignment" "certificates" {
  count                = var.dns_zone_id != "" ? 1 : 0
  scope                = var.dns_zone_id
  role_definition_name = "DNS Zone Contributor"
  principal_id         = azurerm_user_assigned_identity.certificates[0].principal_id
}

# The pipeline pushes images, and does nothing else here: Argo CD follows git.
resource "azurerm_user_assigned_identity" "release" {
  count               = var.release_subject != "" ? 1 : 0
  name                = "${var.name}-release"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "release" {
  count               = var.release_subject != "" ? 1 : 0
  name                = "release"
  resource_group_name = var.resource_group_name
  parent_id           = azurerm_user_assigned_identity.release[0].id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = var.release_issuer
  subject             = var.release_subject
}

resource "azurerm_role_assignment" "push" {
  count                = var.release_subject != "" ? 1 : 0
  scope                = var.registry_id
  role_definition_name = "AcrPush"
  principal_id         = azurerm_user_assigned_identity.release[0].principal_id
}
