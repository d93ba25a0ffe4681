package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/gossipkv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

const (
	ringKey      = "collectors/ring"
	partitionKey = "collectors/ingester-partitions"
)

// member is one of our nodes.
type member struct {
	*gossip.Cluster
	rings      *kv.Typed[*ring.Desc]
	partitions *kv.Typed[*partition.Desc]
}

func startMember(t testing.TB, change func(*gossip.Config), join ...string) *member {
	t.Helper()
	cfg := gossip.DefaultConfig()
	cfg.NodeName, cfg.BindAddr, cfg.BindPort, cfg.JoinMembers = "ours", []string{"127.0.0.1"}, 0, join
	cfg.AbortIfClusterFastJoinFails = len(join) > 0
	cfg.PullPushInterval = 5 * time.Second
	change(&cfg)
	c, err := gossip.Open(cfg, gossipkv.Codecs(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-c.Joined():
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	return newMember(c)
}

func newMember(c *gossip.Cluster) *member {
	return &member{
		Cluster: c,
		rings: kv.For(gossipkv.New(c, gossipkv.RingCodec{}),
			kv.Codec[*ring.Desc]{ID: ring.Codec, Encode: ring.EncodeValue, Decode: ring.DecodeValue}),
		partitions: kv.For(gossipkv.New(c, gossipkv.PartitionCodec{}),
			kv.Codec[*partition.Desc]{ID: partition.Codec, Encode: partition.EncodeValue, Decode: partition.DecodeValue}),
	}
}

// view is our ring in the form in which the dskit process tells its own.
func (m *member) view(t testing.TB) map[string]instance {
	t.Helper()
	d, err := m.rings.Get(context.Background(), ringKey)
	if err != nil {
		t.Fatal(err)
	}
	return instances(d)
}

func instances(d *ring.Desc) map[string]instance {
	out := map[string]instance{}
	if d != nil {
		for id, i := range d.Instances {
			out[id] = instance{State: i.State.String(), Timestamp: i.Timestamp, Tokens: len(i.Tokens), Zone: i.Zone}
		}
	}
	return out
}

func (m *member) edit(t testing.TB, f func(*ring.Desc)) {
	t.Helper()
	if err := m.change(ringKey, f); err != nil {
		t.Fatal(err)
	}
}

func (m *member) change(key string, f func(*ring.Desc)) error {
	return m.rings.CAS(context.Background(), key, func(in *ring.Desc) (*ring.Desc, bool, error) {
		if in == nil {
			in = ring.NewDesc()
		}
		f(in)
		return in, true, nil
	})
}

func (m *member) set(t testing.TB, id, zone string, tokens ...uint32) {
	t.Helper()
	m.edit(t, func(d *ring.Desc) { put(d, id, zone, tokens) })
}

// put adds an instance whose heartbeat is now.
func put(d *ring.Desc, id, zone string, tokens []uint32) {
	now := time.Now().Unix()
	d.Instances[id] = ring.Instance{ID: id, Addr: "127.0.0.1:1", Zone: zone, Tokens: tokens, Timestamp: now, RegisteredTimestamp: now}
}

// same waits until all dskit nodes and all of ours show the same ring, and that it has n entries.
func same(t testing.TB, p *peer, names []string, ours []*member, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("everybody sees the same %d instances", n), func() bool {
		want := p.ask(t, request{Op: "ring", Node: names[0], Ring: ringKey}).Instances
		if len(want) != n {
			return false
		}
		for _, name := range names[1:] {
			if !maps.Equal(want, p.ask(t, request{Op: "ring", Node: name, Ring: ringKey}).Instances) {
				return false
			}
		}
		return !slices.ContainsFunc(ours, func(m *member) bool { return !maps.Equal(want, m.view(t)) })
	})
}

// security is what the members of one cluster have in common.
type security struct {
	name  string
	label string
	tls   bool
}

// TestMixedClusters runs two dskit nodes and two of ours in one cluster, for every combination of label, TLS and
// compression, and lets each side write, forget and disagree.
func TestMixedClusters(t *testing.T) {
	for _, s := range []security{{"plain", "", false}, {"label", "mimir-prod", false}, {"label+TLS", "mimir-prod", true}} {
		for _, compression := range []string{"", "lzw", "snappy"} {
			t.Run(fmt.Sprintf("%s/%s", s.name, cmpOr(compression, "off")), func(t *testing.T) {
				t.Parallel()
				mixedCluster(t, s, compression)
			})
		}
	}
}

func cmpOr(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

func mixedCluster(t *testing.T, s security, compression string) {
	p := startPeer(t)
	var files gossip.TLS
	if s.tls {
		files = certificates(t)
	}
	start := request{Op: "start", Node: "d1", Label: s.label, Compression: compression,
		Cert: files.CertPath, Key: files.KeyPath, CA: files.CAPath, ServerName: files.ServerName}
	d1 := p.ask(t, start).Addr
	start.Node, start.Join = "d2", []string{d1}
	d2 := p.ask(t, start).Addr
	config := func(c *gossip.Config) {
		c.ClusterLabel, c.AllowUnlabelled = s.label, s.label == ""
		c.CompressionEnabled, c.CompressionAlgorithm = compression != "", compression
		c.TLSEnabled, c.TLS = s.tls, files
	}
	o1 := startMember(t, config, d1)
	o2 := startMember(t, config, d2)
	ours, theirs := []*member{o1, o2}, []string{"d1", "d2"}
	eventually(t, "four members on both sides", func() bool {
		return len(o1.Members()) == 4 && len(o2.Members()) == 4 && p.ask(t, request{Op: "members", Node: "d1"}).Members == 4
	})

	p.ask(t, request{Op: "set", Node: "d1", Ring: ringKey, Instance: "a", Zone: "z1", State: "ACTIVE", Tokens: []uint32{10, 20, 30}})
	o1.set(t, "b", "z2", 15, 25, 35)
	same(t, p, theirs, ours, 2)

	waitSecond(t) // a change within the second of the last heartbeat would not count
	p.ask(t, request{Op: "forget", Node: "d2", Ring: ringKey, Instance: "b"})
	same(t, p, theirs, ours, 1)
	o2.edit(t, func(d *ring.Desc) { delete(d.Instances, "a") })
	same(t, p, theirs, ours, 0)

	partitions(t, p, theirs, ours)
	observe(t, p, s, files, d1, o1)
}

// waitSecond waits until the clock shows another second.
func waitSecond(t testing.TB) {
	begin := time.Now().Unix()
	eventually(t, "a second passes", func() bool { return time.Now().Unix() > begin+1 })
}

// partitions changes the partition ring from either side.
func partitions(t *testing.T, p *peer, theirs []string, ours []*member) {
	p.ask(t, request{Op: "add_partition", Node: "d1", Ring: partitionKey, Partition: 1})
	agree := func(want part) {
		t.Helper()
		eventually(t, fmt.Sprintf("everybody sees partition 1 as %+v", want), func() bool {
			for _, n := range theirs {
				if got := p.ask(t, request{Op: "partitions", Node: n, Ring: partitionKey}).Partitions["1"]; got != want {
					return false
				}
			}
			for _, m := range ours {
				d, err := m.partitions.Get(context.Background(), partitionKey)
				if err != nil {
					t.Fatal(err)
				}
				if d == nil {
					return false
				}
				v := d.Partitions[1]
				if got := (part{v.State.String(), v.StateChangeLocked, len(v.Tokens)}); got != want {
					return false
				}
			}
			return true
		})
	}
	agree(part{"PartitionActive", false, 512})
	change := func(f func(d *partition.Desc) (bool, error)) {
		t.Helper()
		err := ours[1].partitions.CAS(context.Background(), partitionKey, func(d *partition.Desc) (*partition.Desc, bool, error) {
			_, err := f(d)
			return d, true, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change(func(d *partition.Desc) (bool, error) {
		return partition.ChangeAndLock(d, 1, partition.Inactive, time.Now())
	})
	agree(part{"PartitionInactive", true, 512})
	if _, err := p.try(request{Op: "change_partition", Node: "d2", Ring: partitionKey, Partition: 1, State: "PartitionActive"}); err == nil {
		t.Error("dskit changed a partition that we had locked")
	}
	waitSecond(t)
	p.ask(t, request{Op: "lock", Node: "d2", Ring: partitionKey, Partition: 1, Locked: false})
	p.ask(t, request{Op: "change_partition", Node: "d2", Ring: partitionKey, Partition: 1, State: "PartitionActive"})
	agree(part{"PartitionActive", false, 512})
}

// observe reads and writes a dskit node without becoming a member.
func observe(t *testing.T, p *peer, s security, files gossip.TLS, addr string, o *member) {
	d := gossip.Dialer{Label: s.label}
	if s.tls {
		var err error
		if d.TLS, err = files.Load(); err != nil {
			t.Fatal(err)
		}
	}
	view, err := d.Pull(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	if len(view.Nodes) != 4 || len(view.Pairs) != 2 {
		t.Errorf("view of a dskit node: %d nodes, %d pairs", len(view.Nodes), len(view.Pairs))
	}
	one := ring.NewDesc()
	one.Instances["sent"] = ring.Instance{ID: "sent", Timestamp: time.Now().Unix(), Tokens: []uint32{77}}
	if err := d.Send(t.Context(), addr, gossip.Pair{Key: ringKey, Codec: ring.Codec, Value: ring.EncodeValue(one)}); err != nil {
		t.Fatal(err)
	}
	same(t, p, []string{"d1", "d2"}, []*member{o}, 1)
	if n := p.ask(t, request{Op: "members", Node: "d1"}).Members; n != 4 {
		t.Errorf("observing made %d members", n)
	}
	wrong := d
	wrong.Label = "someone-else"
	if _, err := wrong.Pull(t.Context(), addr); err == nil {
		t.Error("a foreign label was answered")
	}
}

// TestThousandInstances moves a ring of a thousand instances with 512 tokens each both ways.
func TestThousandInstances(t *testing.T) {
	for _, compression := range []string{"lzw", "snappy"} {
		p := startPeer(t)
		d1 := p.ask(t, request{Op: "start", Node: "d1", Label: "big", Compression: compression}).Addr
		p.ask(t, request{Op: "fill", Node: "d1", Ring: ringKey, Count: 1000})
		o := startMember(t, func(c *gossip.Config) { c.ClusterLabel = "big" }, d1)
		if got := len(o.view(t)); got != 1000 {
			t.Fatalf("%s: %d instances after joining", compression, got)
		}
		p.ask(t, request{Op: "start", Node: "d2", Label: "big", Compression: compression, Join: []string{o.Addr()}})
		same(t, p, []string{"d1", "d2"}, []*member{o}, 1000)
		waitSecond(t)
		o.edit(t, func(d *ring.Desc) { delete(d.Instances, "ingester-500") })
		same(t, p, []string{"d1", "d2"}, []*member{o}, 999)
		view, err := (gossip.Dialer{Label: "big", Timeout: 20 * time.Second}).Pull(t.Context(), d1)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: pulled %d bytes of state in %s", compression, view.Bytes, view.Took)
	}
}

// TestGuestOfDskit joins a dskit cluster as a guest, hears its news and leaves without a trace.
func TestGuestOfDskit(t *testing.T) {
	p := startPeer(t)
	d1 := p.ask(t, request{Op: "start", Node: "d1", Label: "g", Compression: "snappy"}).Addr
	p.ask(t, request{Op: "start", Node: "d2", Label: "g", Compression: "snappy", Join: []string{d1}})
	g, err := gossip.JoinAsGuest(t.Context(), gossip.GuestConfig{Label: "g", Seeds: []string{d1}, BindAddr: "127.0.0.1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "dskit sees the guest", func() bool { return p.ask(t, request{Op: "members", Node: "d2"}).Members == 3 })
	p.ask(t, request{Op: "set", Node: "d2", Ring: ringKey, Instance: "a", State: "ACTIVE", Tokens: []uint32{1}})
	eventually(t, "the guest hears it", func() bool {
		for {
			select {
			case e := <-g.Events():
				if e.Pair != nil && e.Pair.Key == ringKey {
					return true
				}
			default:
				return false
			}
		}
	})
	if err := g.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "it left", func() bool { return p.ask(t, request{Op: "members", Node: "d1"}).Members == 2 })
}

// certificates writes a CA and a certificate for "gossip.test".
func certificates(t *testing.T) gossip.TLS {
	t.Helper()
	dir := t.TempDir()
	caKey, caDER, ca := certificate(t, nil, nil)
	key, der, _ := certificate(t, ca, caKey)
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return gossip.TLS{
		CertPath: write("cert.pem", "CERTIFICATE", der), KeyPath: write("key.pem", "EC PRIVATE KEY", keyDER),
		CAPath: write("ca.pem", "CERTIFICATE", caDER), ServerName: "gossip.test",
	}
}

func certificate(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "gossip.test"}, DNSNames: []string{"gossip.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, parentKey = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, der, cert
}
