# What production alone has: other regions.
variable "second_region" {
  description = "Where the replica is, and the subnet of its private endpoint; none when empty."
  type        = object({ location = string, replica_subnet_id = string })
  default     = { location = "", replica_subnet_id = "" }
}

variable "regions" {
  description = "Ingress of every region, once there are two: name to target and priority."
  type        = map(object({ target = string, priority = number }))
  default     = {}
}

variable "peers" {
  description = "Networks of other regions to peer with."
  type        = map(string)
  default     = {}
}
