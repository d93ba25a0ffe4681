package gossip

import (
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// A memberlist block as it stands in a Tempo configuration is read by the same keys.
const familyBlock = `
node_name: tempo-0
randomize_node_name: false
stream_timeout: 2s
retransmit_factor: 2
pull_push_interval: 30s
gossip_interval: 1s
gossip_nodes: 2
gossip_to_dead_nodes_time: 30s
dead_node_reclaim_time: 0s
compression_enabled: true
compression_algorithm: snappy
notify_interval: 0s
advertise_addr: 10.0.0.5
advertise_port: 7946
cluster_label: tempo-prod
cluster_label_verification_disabled: false
join_members: [dns+tempo-gossip-ring:7946]
min_join_backoff: 1s
max_join_backoff: 1m
max_join_retries: 10
abort_if_cluster_join_fails: true
abort_if_cluster_fast_join_fails: true
abort_if_cluster_fast_join_fails_min_nodes: 2
rejoin_interval: 5m
rejoin_seed_nodes: [dns+tempo-gossip-ring:7946]
left_ingesters_timeout: 5m
obsolete_entries_timeout: 30s
leave_timeout: 20s
broadcast_timeout_for_local_updates_on_shutdown: 10s
message_history_buffer_bytes: 0
received_messages_queue_size: 1024
processed_messages_queue_size: 1024
bind_addr: ["0.0.0.0"]
bind_port: 7946
packet_dial_timeout: 2s
packet_write_timeout: 5s
max_concurrent_writes: 3
acquire_writer_timeout: 250ms
tls_enabled: true
tls_cert_path: cert.pem
tls_key_path: key.pem
tls_ca_path: ca.pem
tls_server_name: gossip
tls_insecure_skip_verify: false
tls_cipher_suites: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
tls_min_version: VersionTLS12
watch_prefix_buffer_size: 128
zone_aware_routing:
  enabled: false
  instance_availability_zone: zone-a
  role: bridge
propagation_delay_tracker:
  enabled: false
  beacon_interval: 1m
  beacon_lifetime: 10m
  log_beacons_latency_longer_than: 0s
`

func TestConfigKeysOfTheFamily(t *testing.T) {
	cfg := DefaultConfig()
	dec := yaml.NewDecoder(strings.NewReader(familyBlock))
	dec.KnownFields(true)
	if err := dec.Decode(&cfg); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if cfg.GossipInterval != time.Second || cfg.RejoinInterval != 5*time.Minute || cfg.TLS.ServerName != "gossip" ||
		cfg.AbortIfClusterFastJoinMinNodes != 2 || cfg.JoinMembers[0] != "dns+tempo-gossip-ring:7946" {
		t.Errorf("%+v", cfg)
	}
}

// What a block of the family switches on and this program does not offer is refused, each setting by its name.
func TestConfigRefusesWhatIsNotOffered(t *testing.T) {
	for key, block := range map[string]string{
		"zone_aware_routing.enabled":        "zone_aware_routing: {enabled: true, instance_availability_zone: a}",
		"propagation_delay_tracker.enabled": "propagation_delay_tracker: {enabled: true}",
	} {
		cfg := DefaultConfig()
		cfg.ClusterLabel = "test"
		if err := yaml.Unmarshal([]byte(block), &cfg); err != nil {
			t.Fatal(err)
		}
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "set it to false") {
			t.Errorf("%s: got %v", block, err)
		}
	}
}
