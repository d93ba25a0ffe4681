// Command dskitpeer runs real dskit key-value nodes for the interoperability tests. It reads one JSON request per line on
// standard input and answers each with one JSON line; it ends with its input.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/go-kit/log"
	"github.com/grafana/dskit/flagext"
	"github.com/grafana/dskit/kv/codec"
	"github.com/grafana/dskit/kv/memberlist"
	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
)

// request names a node and what to do there.
type request struct {
	Op   string // start, stop, set, fill, forget, ring, members, add_partition, change_partition, lock, partitions, bench
	Node string

	Label, Compression        string
	Bind                      string // IP; default 127.0.0.1 with a free port, else port 7946
	Join                      []string
	Cert, Key, CA, ServerName string

	Ring, Instance, Zone, State string
	Tokens                      []uint32
	Count                       int
	Partition                   int32
	Locked                      bool

	KeepTombstones time.Duration
}

// answer holds whatever the request asked for.
type answer struct {
	Error      string              `json:",omitempty"`
	Addr       string              `json:",omitempty"`
	Members    int                 `json:",omitempty"`
	Instances  map[string]instance `json:",omitempty"`
	Partitions map[string]part     `json:",omitempty"`
	Bench      map[string]float64  `json:",omitempty"`
}

type instance struct {
	State     string
	Timestamp int64
	Tokens    int
	Zone      string
}

type part struct {
	State  string
	Locked bool
	Tokens int
}

type node struct {
	kv  *memberlist.KV
	reg *prometheus.Registry
}

func main() {
	p := peer{nodes: map[string]*node{}}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var req request
		var ans answer
		err := json.Unmarshal(in.Bytes(), &req)
		if err == nil {
			ans, err = p.do(req)
		}
		if err != nil {
			ans.Error = err.Error()
		}
		if err := out.Encode(ans); err != nil {
			fmt.Fprintln(os.Stderr, "dskitpeer:", err)
			os.Exit(1)
		}
	}
}

type peer struct{ nodes map[string]*node }

func (p peer) do(req request) (answer, error) {
	switch req.Op {
	case "start":
		return p.start(req)
	case "bench":
		figures, err := bench(req.Count)
		return answer{Bench: figures}, err
	}
	n := p.nodes[req.Node]
	if n == nil {
		return answer{}, fmt.Errorf("no node %q", req.Node)
	}
	switch req.Op {
	case "stop":
		delete(p.nodes, req.Node)
		return answer{}, services.StopAndAwaitTerminated(context.Background(), n.kv)
	case "members":
		return n.members()
	case "ring":
		return n.ring(req.Ring)
	case "partitions":
		return n.partitions(req.Ring)
	case "set", "fill", "forget":
		return answer{}, n.edit(req)
	case "add_partition", "change_partition", "lock":
		return answer{}, n.editPartitions(req)
	}
	return answer{}, fmt.Errorf("unknown request %q", req.Op)
}

func (p peer) start(req request) (answer, error) {
	var cfg memberlist.KVConfig
	flagext.DefaultValues(&cfg)
	bind, port, err := address(req.Bind)
	if err != nil {
		return answer{}, err
	}
	cfg.NodeName, cfg.RandomizeNodeName = req.Node, false
	cfg.ClusterLabel = req.Label
	cfg.JoinMembers = req.Join
	cfg.AbortIfFastJoinFails = len(req.Join) > 0
	cfg.EnableCompression, cfg.CompressionAlgorithm = req.Compression != "", req.Compression
	if req.Compression == "" {
		cfg.CompressionAlgorithm = "lzw"
	}
	cfg.PushPullInterval = 5 * time.Second
	cfg.TCPTransport.BindAddrs = []string{bind}
	cfg.TCPTransport.BindPort = port
	cfg.AdvertiseAddr, cfg.AdvertisePort = bind, port
	if req.KeepTombstones > 0 {
		cfg.LeftIngestersTimeout = req.KeepTombstones
	}
	cfg.Codecs = []codec.Codec{ring.GetCodec(), ring.GetPartitionRingCodec()}
	if req.Cert != "" {
		cfg.TCPTransport.TLSEnabled = true
		cfg.TCPTransport.TLS.CertPath, cfg.TCPTransport.TLS.KeyPath = req.Cert, req.Key
		cfg.TCPTransport.TLS.CAPath, cfg.TCPTransport.TLS.ServerName = req.CA, req.ServerName
	}
	reg := prometheus.NewRegistry()
	kv := memberlist.NewKV(cfg, log.NewLogfmtLogger(os.Stderr), noDNS{}, reg)
	if err := services.StartAndAwaitRunning(context.Background(), kv); err != nil {
		return answer{}, err
	}
	p.nodes[req.Node] = &node{kv: kv, reg: reg}
	return answer{Addr: net.JoinHostPort(bind, strconv.Itoa(port))}, nil
}

// noDNS resolves nothing: the tests join by address.
type noDNS struct{}

// Resolve implements memberlist.DNSProvider.
func (noDNS) Resolve(context.Context, []string) error { return nil }

// Addresses implements memberlist.DNSProvider.
func (noDNS) Addresses() []string { return nil }

// address is where to listen.
func address(bind string) (ip string, port int, err error) {
	if bind != "" {
		return bind, 7946, nil
	}
	port, err = freePort()
	return "127.0.0.1", port, err
}

// freePort is a port below those that systems give to connections.
func freePort() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)))
		if err == nil {
			return l.Addr().(*net.TCPAddr).Port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

func (n *node) members() (answer, error) {
	families, err := n.reg.Gather()
	if err != nil {
		return answer{}, err
	}
	for _, f := range families {
		if f.GetName() == "memberlist_client_cluster_members_count" {
			return answer{Members: int(f.GetMetric()[0].GetGauge().GetValue())}, nil
		}
	}
	return answer{}, fmt.Errorf("no members metric")
}

func (n *node) ring(key string) (answer, error) {
	v, err := n.kv.Get(key, ring.GetCodec())
	if err != nil {
		return answer{}, err
	}
	ans := answer{Instances: map[string]instance{}}
	if d, ok := v.(*ring.Desc); ok {
		for id, i := range d.Ingesters {
			ans.Instances[id] = instance{State: i.State.String(), Timestamp: i.Timestamp, Tokens: len(i.Tokens), Zone: i.Zone}
		}
	}
	return ans, nil
}

func (n *node) partitions(key string) (answer, error) {
	v, err := n.kv.Get(key, ring.GetPartitionRingCodec())
	if err != nil {
		return answer{}, err
	}
	ans := answer{Partitions: map[string]part{}}
	if d, ok := v.(*ring.PartitionRingDesc); ok {
		for id, p := range d.Partitions {
			ans.Partitions[strconv.Itoa(int(id))] = part{State: p.State.String(), Locked: p.StateChangeLocked, Tokens: len(p.Tokens)}
		}
	}
	return ans, nil
}

func (n *node) edit(req request) error {
	client, err := memberlist.NewClient(n.kv, ring.GetCodec())
	if err != nil {
		return err
	}
	now := time.Now()
	return client.CAS(context.Background(), req.Ring, func(in interface{}) (interface{}, bool, error) {
		d, _ := in.(*ring.Desc)
		if d == nil {
			d = ring.NewDesc()
		}
		switch req.Op {
		case "forget":
			d.RemoveIngester(req.Instance)
		case "set":
			d.AddIngester(req.Instance, "127.0.0.1:1", req.Zone, req.Tokens, ring.InstanceState(ring.InstanceState_value[req.State]), now, false, time.Time{}, nil)
		case "fill":
			for i := range req.Count {
				tokens := make([]uint32, 512)
				for t := range tokens {
					tokens[t] = uint32(t*req.Count+i) * 2000
				}
				d.AddIngester(fmt.Sprintf("ingester-%d", i), "127.0.0.1:1", fmt.Sprintf("zone-%d", i%3), tokens, ring.ACTIVE, now, false, time.Time{}, nil)
			}
		}
		return d, true, nil
	})
}

func (n *node) editPartitions(req request) error {
	client, err := memberlist.NewClient(n.kv, ring.GetPartitionRingCodec())
	if err != nil {
		return err
	}
	editor := ring.NewPartitionRingEditor(req.Ring, client)
	switch req.Op {
	case "change_partition":
		return editor.ChangePartitionState(context.Background(), req.Partition, ring.PartitionState(ring.PartitionState_value[req.State]))
	case "lock":
		return editor.SetPartitionStateChangeLock(context.Background(), req.Partition, req.Locked)
	}
	return client.CAS(context.Background(), req.Ring, func(in interface{}) (interface{}, bool, error) {
		d, _ := in.(*ring.PartitionRingDesc)
		if d == nil {
			d = ring.NewPartitionRingDesc()
		}
		d.AddPartition(req.Partition, ring.PartitionActive, time.Now())
		return d, true, nil
	})
}
