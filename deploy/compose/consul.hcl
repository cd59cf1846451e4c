# Consul: one server, HTTPS only, access control lists on. Tokens and the gossip key are in /secrets/secrets.json.
node_name        = "consul"
datacenter       = "dc1"
data_dir         = "/consul/data"
server           = true
bootstrap_expect = 1
client_addr      = "0.0.0.0"
bind_addr        = "{{ GetInterfaceIP \"eth0\" }}"

ports {
  https    = 8501
  http     = -1
  dns      = -1
  grpc     = -1
  grpc_tls = -1
}

tls {
  defaults {
    ca_file         = "/secrets/ca.crt"
    cert_file       = "/secrets/server.crt"
    key_file        = "/secrets/server.key"
    verify_outgoing = true
  }
  internal_rpc {
    verify_incoming        = true
    verify_server_hostname = true
  }
}

acl {
  enabled                  = true
  default_policy           = "deny"
  enable_token_persistence = true
}

disable_update_check = true
