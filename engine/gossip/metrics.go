package gossip

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The metrics carry the names that dashboards and alerts of the family already use.
const (
	clientPrefix    = "tempo_memberlist_client_"
	transportPrefix = "tempo_memberlist_tcp_transport_"
)

type metrics struct {
	receivedBroadcasts        prometheus.Counter
	receivedBroadcastsBytes   prometheus.Counter
	receivedBroadcastsInvalid prometheus.Counter
	receivedBroadcastsDropped prometheus.Counter
	statePushes               prometheus.Counter
	statePushesBytes          prometheus.Counter
	statePulls                prometheus.Counter
	statePullsBytes           prometheus.Counter
	broadcastsDropped         prometheus.Counter
	casAttempts               prometheus.Counter
	casSuccesses              prometheus.Counter
	casFailures               prometheus.Counter
	tombstonesRemoved         *prometheus.CounterVec
	entriesRefused            *prometheus.CounterVec
	transport                 *transportMetrics
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	count := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: clientPrefix + name, Help: help})
	}
	byKey := func(name, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: clientPrefix + name, Help: help}, []string{"key"})
	}
	return &metrics{
		receivedBroadcasts:        count("received_broadcasts_total", "Pairs received by gossip."),
		receivedBroadcastsBytes:   count("received_broadcasts_bytes_total", "Bytes of pairs received by gossip."),
		receivedBroadcastsInvalid: count("received_broadcasts_invalid_total", "Received pairs that could not be read or merged."),
		receivedBroadcastsDropped: count("received_broadcasts_dropped_total", "Received pairs dropped because the queue was full."),
		statePushes:               count("state_pushes_total", "Full states sent."),
		statePushesBytes:          count("state_pushes_bytes_total", "Bytes of full states sent."),
		statePulls:                count("state_pulls_total", "Full states received."),
		statePullsBytes:           count("state_pulls_bytes_total", "Bytes of full states received."),
		broadcastsDropped:         count("messages_to_broadcast_dropped_total", "Own changes not broadcast because the node was leaving."),
		casAttempts:               count("cas_attempt_total", "Tries of compare-and-swap."),
		casSuccesses:              count("cas_success_total", "Successful compare-and-swaps."),
		casFailures:               count("cas_failure_total", "Failed compare-and-swaps."),
		tombstonesRemoved:         byKey("kv_store_value_tombstones_removed_total", "Old tombstones removed."),
		entriesRefused:            byKey("kv_store_entries_refused_total", "Received entries refused because they are dated too far in the future."),
		transport:                 newTransportMetrics(reg),
	}
}

type transportMetrics struct {
	incomingStreams, outgoingStreams, outgoingStreamErrors           prometheus.Counter
	packetsReceived, packetsReceivedBytes, packetsReceivedErrors     prometheus.Counter
	packetsSent, packetsSentBytes, packetsSentErrors, packetsDropped prometheus.Counter
	unknownConnections                                               prometheus.Counter
}

func newTransportMetrics(reg prometheus.Registerer) *transportMetrics {
	f := promauto.With(reg)
	count := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: transportPrefix + name, Help: help})
	}
	return &transportMetrics{
		incomingStreams:       count("incoming_streams_total", "Streams accepted."),
		outgoingStreams:       count("outgoing_streams_total", "Streams dialed."),
		outgoingStreamErrors:  count("outgoing_stream_errors_total", "Streams that could not be dialed."),
		packetsReceived:       count("packets_received_total", "Packets received."),
		packetsReceivedBytes:  count("packets_received_bytes_total", "Bytes of packets received."),
		packetsReceivedErrors: count("packets_received_errors_total", "Packets dropped on receipt: damaged, too large or of another cluster."),
		packetsSent:           count("packets_sent_total", "Packets sent."),
		packetsSentBytes:      count("packets_sent_bytes_total", "Bytes of packets sent."),
		packetsSentErrors:     count("packets_sent_errors_total", "Packets that could not be sent."),
		packetsDropped:        count("packets_dropped_total", "Packets not sent because no writer was free or their destination does not answer."),
		unknownConnections:    count("unknown_connections_total", "Connections that were neither packet nor stream."),
	}
}

// registerGauges registers what is read from the cluster when it is asked for.
func registerGauges(reg prometheus.Registerer, c *Cluster) {
	f := promauto.With(reg)
	gauge := func(name, help string, read func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: clientPrefix + name, Help: help}, read)
	}
	gauge("cluster_members_count", "Members this node knows to be alive.", func() float64 { return float64(c.roster.count()) })
	gauge("cluster_node_health_score", "0 is healthy; higher means that this node hears badly.", func() float64 { return float64(c.ml.GetHealthScore()) })
	gauge("messages_in_broadcast_queue", "Changes waiting to be gossiped.", func() float64 { n, _, _ := c.queue.size(); return float64(n) })
	gauge("messages_in_broadcast_queue_bytes", "Bytes of changes waiting to be gossiped.", func() float64 { _, _, b := c.queue.size(); return float64(b) })
	gauge("pending_key_notifications", "Keys whose watchers have not been told yet.", func() float64 { return float64(c.watch.pendingKeys()) })
	reg.MustRegister(newStoreCollector(c))
}

// storeCollector counts keys and tombstones.
type storeCollector struct {
	c                 *Cluster
	keys, tombs, size *prometheus.Desc
}

func newStoreCollector(c *Cluster) *storeCollector {
	return &storeCollector{
		c:     c,
		keys:  prometheus.NewDesc(clientPrefix+"kv_store_count", "Keys in the store.", nil, nil),
		tombs: prometheus.NewDesc(clientPrefix+"kv_store_value_tombstones", "Tombstones in a value.", []string{"key"}, nil),
		size:  prometheus.NewDesc(clientPrefix+"kv_store_value_bytes", "Size of an encoded value.", []string{"key"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (s *storeCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- s.keys
	ch <- s.tombs
	ch <- s.size
}

// Collect implements prometheus.Collector.
func (s *storeCollector) Collect(ch chan<- prometheus.Metric) {
	infos := s.c.info()
	ch <- prometheus.MustNewConstMetric(s.keys, prometheus.GaugeValue, float64(len(infos)))
	for _, i := range infos {
		ch <- prometheus.MustNewConstMetric(s.tombs, prometheus.GaugeValue, float64(i.Tombstones), i.Key)
		ch <- prometheus.MustNewConstMetric(s.size, prometheus.GaugeValue, float64(i.Size), i.Key)
	}
}
