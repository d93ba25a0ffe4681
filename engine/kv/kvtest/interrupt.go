package kvtest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/ring"
)

// RunInterrupted checks that a watch survives the loss of its server. open connects to the address it is given: once
// the server at addr itself, once a proxy in front of it that the test switches off and on.
func RunInterrupted(t *testing.T, addr string, open func(t *testing.T, addr string) kv.Store) {
	p := newProxy(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	key := kv.Prefix + "kvtest/" + slug("interrupted")
	direct := suite{ctx: ctx, store: open(t, addr), key: key}
	direct.rings = kv.For(direct.store, Codec())
	watched := suite{ctx: ctx, store: open(t, p.addr()), key: key}
	watched.rings = kv.For(watched.store, Codec())

	direct.add(t, "a")
	values := watched.watching(t)
	seen(t, values, "a")
	p.off()
	direct.add(t, "b")
	p.on(t)
	seen(t, values, "a", "b")
	p.off() // and once more, with nothing lost meanwhile
	p.on(t)
	direct.add(t, "c")
	seen(t, values, "a", "b", "c")
}

// RunRestarted checks that a watch survives the death of its server. start runs a server at a fixed address and returns
// how to kill it; the server keeps its values over a restart when persistent.
func RunRestarted(t *testing.T, persistent bool, start func(t *testing.T) (addr string, kill func()), open func(t *testing.T, addr string) kv.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	addr, kill := start(t)
	s := suite{ctx: ctx, store: open(t, addr), key: kv.Prefix + "kvtest/" + slug("restarted")}
	s.rings = kv.For(s.store, Codec())
	s.insist(t, "a")
	values := s.watching(t)
	seen(t, values, "a")
	kill()
	_, kill = start(t)
	defer kill()
	want := []string{"b"}
	if persistent {
		want = []string{"a", "b"}
	}
	s.insist(t, "b")
	seen(t, values, want...)
}

// RunRestartedBehind checks that a watch survives the loss of all its server had, when the server then counts from the
// beginning and is for long behind what the watch has seen.
func RunRestartedBehind(t *testing.T, start func(t *testing.T) (addr string, kill func()), open func(t *testing.T, addr string) kv.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	addr, kill := start(t)
	s := suite{ctx: ctx, store: open(t, addr), key: kv.Prefix + "kvtest/" + slug("behind")}
	s.rings = kv.For(s.store, Codec())
	values := s.watching(t)
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		s.insist(t, id)
	}
	seen(t, values, "a", "b", "c", "d", "e", "f", "g", "h")
	kill()
	_, kill = start(t)
	defer kill()
	s.insist(t, "x")
	seen(t, values, "x")
	s.insist(t, "y")
	seen(t, values, "x", "y")
}

// insist adds an instance as soon as the server takes writes.
func (s suite) insist(t *testing.T, id string) {
	for {
		err := s.rings.CAS(s.ctx, s.key, func(in *ring.Desc) (*ring.Desc, bool, error) {
			if in == nil {
				in = ring.NewDesc()
			}
			in.Instances[id] = ring.Instance{ID: id, Timestamp: time.Now().Unix()}
			return in, true, nil
		})
		if err == nil {
			return
		}
		if s.ctx.Err() != nil {
			t.Fatalf("the server never took a write: %v", err)
		}
	}
}

// proxy passes connections on to a server.
type proxy struct {
	target string
	listen string

	mu    sync.Mutex
	l     net.Listener
	up    bool
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	p := &proxy{target: target, listen: Addrs(t, 1)[0].HostPort, conns: map[net.Conn]bool{}}
	p.on(t)
	t.Cleanup(p.off)
	return p
}

func (p *proxy) addr() string { return p.listen }

// on starts to accept.
func (p *proxy) on(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", p.listen)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.l, p.up = l, true
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.pipe(in) })
		}
	})
}

// off stops to accept and cuts all connections.
func (p *proxy) off() {
	p.mu.Lock()
	p.up = false
	p.l.Close()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *proxy) pipe(in net.Conn) {
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		in.Close()
		return
	}
	p.mu.Lock()
	up := p.up
	if up {
		p.conns[in], p.conns[out] = true, true
	}
	p.mu.Unlock()
	if !up {
		in.Close()
		out.Close()
		return
	}
	var wg sync.WaitGroup
	copyAll := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src) // ends when either side is cut, which is the point
		dst.Close()
		src.Close()
	}
	wg.Go(func() { copyAll(in, out) })
	wg.Go(func() { copyAll(out, in) })
	wg.Wait()
	p.mu.Lock()
	delete(p.conns, in)
	delete(p.conns, out)
	p.mu.Unlock()
}
