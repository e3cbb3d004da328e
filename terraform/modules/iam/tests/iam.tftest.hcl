mock_provider "azurerm" {}

variables {
  name                 = "titanic-test"
  location             = "eastus"
  resource_group_name  = "titanic-test"
  tags                 = { environment = "test", team = "titanic", cost_center = "cc-1912" }
  oidc_issuer_url      = "https://eastus.oic.prod-aks.azure.com/x/y/"
  key_vault_id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.KeyVault/vaults/titanic-test"
  registry_id          = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-test/providers/Microsoft.ContainerRegistry/registries/titanictest"
  kubelet_principal_id = "00000000-0000-0000-0000-000000000000"
}

run "workload_identity" {
  command = plan
  assert {
    condition     = azurerm_federated_identity_credential.secrets.subject == "system:serviceaccount:titanic:titanic-secrets" && alltrue([for role in azurerm_role_assignment.secrets : role.role_definition_name == "Key Vault Secrets User"]) && length(azurerm_role_assignment.secrets) == 3
    error_message = "the service account of deploy/k8s reads secrets, and may do no more"
  }
  assert {
    condition     = azurerm_role_assignment.pull.role_definition_name == "AcrPull" && length(azurerm_role_assignment.push) == 0
    error_message = "nodes pull, nobody pushes"
  }
}

run "release" {
  command = plan
  variables {
    release_subject = "repo:titanic/bulkhead:environment:prod"
  }
  assert {
    condition     = azurerm_role_assignment.push[0].role_definition_name == "AcrPush" && azurerm_federated_identity_credential.release[0].subject == "repo:titanic/bulkhead:environment:prod"
    error_message = "the pipeline pushes by its token"
  }
}

run "certificates" {
  command = plan
  variables {
    dns_zone_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/titanic-dns/providers/Microsoft.Network/dnsZones/titanic.example"
    secrets     = ["redis-url-westeurope"]
  }
  assert {
    condition     = azurerm_role_assignment.certificates[0].role_definition_name == "DNS Zone Contributor" && azurerm_federated_identity_credential.certificates[0].subject == "system:serviceaccount:cert-manager:cert-manager"
    error_message = "cert-manager writes into the one zone"
  }
  assert {
    condition     = toset(keys(azurerm_role_assignment.secrets)) == toset(["redis-url-westeurope"])
    error_message = "what is named is read, and nothing else"
  }
}
