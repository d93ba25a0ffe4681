package gossip

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// toy is a value with the rules of the rings in their simplest form: per entry the later one wins, in whole seconds.
type toy map[string]toyEntry

type toyEntry struct {
	At   int64
	Text string
	Left bool
}

type toyCodec struct{ id string }

func (c toyCodec) ID() string { return c.id }

func (toyCodec) Decode(b []byte) (Value, error) {
	t := toy{}
	if len(b) == 0 {
		return t, nil
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, err
	}
	return t, nil
}

func (t toy) Merge(in Value, localCAS bool, now time.Time) Value {
	o, change := in.(toy), toy{}
	for id, e := range o {
		cur := t[id]
		if e.At > cur.At || e.At == cur.At && e.Left && !cur.Left {
			t[id], change[id] = e, e
		}
	}
	if localCAS {
		for id, e := range t {
			if _, ok := o[id]; !ok && !e.Left {
				e = toyEntry{At: now.Unix(), Left: true}
				t[id], change[id] = e, e
			}
		}
	}
	if len(change) == 0 {
		return nil
	}
	return change
}

func (t toy) RemoveTombstones(limit time.Time) (total, removed int) {
	for id, e := range t {
		switch {
		case !e.Left:
		case limit.IsZero() || e.At < limit.Unix():
			delete(t, id)
			removed++
		default:
			total++
		}
	}
	return total, removed
}

func (t toy) Clone() Value         { return maps.Clone(t) }
func (t toy) EntryNames() []string { return slices.Collect(maps.Keys(t)) }

func (t toy) Encode() []byte {
	b, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	return b
}

func (t toy) Pick(names []string) Value {
	out := toy{}
	for _, n := range names {
		if e, ok := t[n]; ok {
			out[n] = e
		}
	}
	return out
}

func (t toy) RemoveAhead(limit time.Time) (removed []string) {
	for id, e := range t {
		if e.At > limit.Unix() {
			delete(t, id)
			removed = append(removed, id)
		}
	}
	slices.Sort(removed)
	return removed
}

func (t toy) String() string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(t)) {
		e := t[id]
		s := fmt.Sprintf("%s@%d=%s", id, e.At, e.Text)
		if e.Left {
			s = fmt.Sprintf("%s@%d LEFT", id, e.At)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

const toyKey = "collectors/toy"

// lan is a network in memory, for tests under a fake clock. Every host has one address; hosts on different islands
// cannot talk.
type lan struct {
	mu        sync.Mutex
	listeners map[string]*lanListener
	island    map[string]int
	down      map[string]bool // connections to it hang until they time out
	port      int
}

func newLAN() *lan {
	return &lan{listeners: map[string]*lanListener{}, island: map[string]int{}, down: map[string]bool{}, port: 7946}
}

// host is one machine's view of the network.
type host struct {
	lan *lan
	ip  string
}

type lanListener struct {
	lan    *lan
	addr   string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (h host) Listen(_ context.Context, addr string) (net.Listener, error) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if port == "0" {
		h.lan.port++
		port = fmt.Sprint(h.lan.port)
	}
	addr = net.JoinHostPort(h.ip, port)
	if h.lan.listeners[addr] != nil {
		return nil, fmt.Errorf("listen %s: address in use", addr)
	}
	l := &lanListener{lan: h.lan, addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
	h.lan.listeners[addr] = l
	return l, nil
}

func (h host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	h.lan.mu.Lock()
	ip, _, err := net.SplitHostPort(addr)
	l := h.lan.listeners[addr]
	hang := h.lan.down[ip] || h.lan.down[h.ip] || h.lan.island[ip] != h.lan.island[h.ip]
	h.lan.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if l == nil {
		return nil, fmt.Errorf("dial %s: connection refused", addr)
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %s: connection refused", addr)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *lanListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *lanListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.lan.mu.Lock()
		delete(l.lan.listeners, l.addr)
		l.lan.mu.Unlock()
	})
	return nil
}

func (l *lanListener) Addr() net.Addr { return address(l.addr) }

// split puts hosts on an island of their own.
func (n *lan) split(island int, ips ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ip := range ips {
		n.island[ip] = island
	}
}

func (n *lan) setDown(ip string, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[ip] = down
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// testConfig is a member's configuration for tests: a label, short waits.
func testConfig(ip string) Config {
	cfg := DefaultConfig()
	cfg.NodeName = "n-" + ip
	cfg.RandomizeNodeName = false
	cfg.ClusterLabel = "test"
	cfg.BindAddr = []string{ip}
	cfg.MinJoinBackoff, cfg.MaxJoinBackoff = 100*time.Millisecond, time.Second
	return cfg
}

// running is a member whose Run is under way.
type running struct {
	*Cluster
	cancel context.CancelFunc
	done   chan error
}

// start opens a member and runs it; the test ends it.
func start(t testing.TB, cfg Config, nw network) *running {
	t.Helper()
	c, err := open(cfg, []Codec{toyCodec{"toy"}}, quiet(), nil, nw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Cluster: c, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- c.Run(ctx) }()
	t.Cleanup(func() { r.kill(t) })
	select {
	case <-c.Joined():
	case err := <-r.done:
		r.done <- err
		t.Fatalf("%s: %v", cfg.NodeName, err)
	}
	return r
}

// kill ends a member without a goodbye.
func (r *running) kill(t testing.TB) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r.cancel()
}

// stop ends a member the proper way.
func (r *running) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// set writes one entry, dated now.
func (r *running) set(t testing.TB, id, text string) {
	t.Helper()
	r.edit(t, func(v toy) toy {
		v[id] = toyEntry{At: time.Now().Unix(), Text: text}
		return v
	})
}

// forget removes one entry.
func (r *running) forget(t testing.TB, id string) {
	t.Helper()
	r.edit(t, func(v toy) toy {
		delete(v, id)
		return v
	})
}

func (r *running) edit(t testing.TB, f func(toy) toy) {
	t.Helper()
	err := r.CAS(context.Background(), toyKey, "toy", func(in Value) (Value, bool, error) {
		v, _ := in.(toy)
		if v == nil {
			v = toy{}
		}
		return f(v), true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *running) view() string {
	v, _ := r.Get(toyKey).(toy)
	return v.String()
}

// await waits until f is true, asking again at the pace of gossip.
func await(t testing.TB, what string, within time.Duration, f func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !f(); {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
		if err := pause(context.Background(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

func agree(nodes []*running) bool {
	for _, n := range nodes[1:] {
		if n.view() != nodes[0].view() {
			return false
		}
	}
	return true
}
