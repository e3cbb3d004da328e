locals {
  subnets = {
    nodes     = { address = cidrsubnet(var.address_space, 4, 0) }
    database  = { address = cidrsubnet(var.address_space, 8, 16) }
    redis     = { address = cidrsubnet(var.address_space, 8, 17) }
    endpoints = { address = cidrsubnet(var.address_space, 8, 18) }
    # Where the machines are from which this is applied, images are pushed and the database is looked at.
    management = { address = cidrsubnet(var.address_space, 8, 19) }
  }
  zones = {
    database  = "privatelink.postgres.database.azure.com"
    redis     = "privatelink.redis.cache.windows.net"
    key_vault = "privatelink.vaultcore.azure.net"
    registry  = "privatelink.azurecr.io"
  }
  # Of every other region: its nodes and its operators, by the plan that all regions' networks follow.
  elsewhere = flatten([for peer in values(var.peers) : [cidrsubnet(peer.address_space, 4, 0), cidrsubnet(peer.address_space, 8, 19)]])
}

resource "azurerm_virtual_network" "this" {
  name                = "${var.name}-network"
  location            = var.location
  resource_group_name = var.resource_group_name
  address_space       = [var.address_space]
  tags                = var.tags
}

resource "azurerm_subnet" "this" {
  for_each                          = local.subnets
  name                              = each.key
  resource_group_name               = var.resource_group_name
  virtual_network_name              = azurerm_virtual_network.this.name
  address_prefixes                  = [each.value.address]
  default_outbound_access_enabled   = false
  private_endpoint_network_policies = "Enabled"
}

# Nodes reach the Internet from one address that others can allow, and nothing reaches them.
resource "azurerm_public_ip" "nat" {
  name                = "${var.name}-nat"
  location            = var.location
  resource_group_name = var.resource_group_name
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = var.zones
  tags                = var.tags
}

resource "azurerm_nat_gateway" "this" {
  name                    = "${var.name}-nat"
  location                = var.location
  resource_group_name     = var.resource_group_name
  sku_name                = "Standard"
  idle_timeout_in_minutes = 10
  zones                   = var.zones
  tags                    = var.tags
}

resource "azurerm_nat_gateway_public_ip_association" "this" {
  nat_gateway_id       = azurerm_nat_gateway.this.id
  public_ip_address_id = azurerm_public_ip.nat.id
}

resource "azurerm_subnet_nat_gateway_association" "this" {
  for_each       = toset(["nodes", "management"])
  subnet_id      = azurerm_subnet.this[each.key].id
  nat_gateway_id = azurerm_nat_gateway.this.id
}

# Into the data's subnets come the nodes, the operators and whom the variable names, on the ports they need; from other regions to the database alone.
resource "azurerm_network_security_group" "data" {
  for_each            = { database = ["5432", "6432"], redis = ["6380"], endpoints = ["443"] }
  name                = "${var.name}-${each.key}"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = var.tags

  security_rule {
    name                       = "nodes-and-operators"
    priority                   = 100
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "Tcp"
    source_address_prefixes    = concat([local.subnets.nodes.address, local.subnets.management.address], var.allowed_sources, each.key == "database" ? local.elsewhere : [])
    source_port_range          = "*"
    destination_address_prefix = local.subnets[each.key].address
    destination_port_ranges    = each.value
  }

  security_rule {
    name                       = "nobody-else"
    priority                   = 4000
    direction                  = "Inbound"
    access                     = "Deny"
    protocol                   = "*"
    source_address_prefix      = "*"
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_range     = "*"
  }
}

resource "azurerm_subnet_network_security_group_association" "data" {
  for_each                  = azurerm_network_security_group.data
  subnet_id                 = azurerm_subnet.this[each.key].id
  network_security_group_id = each.value.id
}

resource "azurerm_private_dns_zone" "this" {
  for_each            = { for key, name in local.zones : key => name if !contains(keys(var.shared_dns_zones), key) }
  name                = each.value
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each              = local.zones
  name                  = var.name
  resource_group_name   = contains(keys(var.shared_dns_zones), each.key) ? split("/", var.shared_dns_zones[each.key])[4] : var.resource_group_name
  private_dns_zone_name = contains(keys(var.shared_dns_zones), each.key) ? each.value : azurerm_private_dns_zone.this[each.key].name
  virtual_network_id    = azurerm_virtual_network.this.id
  tags                  = var.tags
}

resource "azurerm_virtual_network_peering" "this" {
  for_each                     = var.peers
  name                         = each.key
  resource_group_name          = var.resource_group_name
  virtual_network_name         = azurerm_virtual_network.this.name
  remote_virtual_network_id    = each.value.id
  allow_virtual_network_access = true
}
