package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringctl/ringctl/engine/peer"
)

func TestPartsStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var stopped []string
		record := func(name string) part {
			return part{name, func(ctx context.Context) error {
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				stopped = append(stopped, name)
				return nil
			}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- runParts(ctx, []part{record("gossip"), record("ingester"), record("receiver")}, slog.New(slog.DiscardHandler))
		}()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("err = %v", err)
		}
		if want := []string{"receiver", "ingester", "gossip"}; !slices.Equal(stopped, want) {
			t.Errorf("stopped %v, want %v", stopped, want)
		}
	})
}

func TestOneFailureStopsAll(t *testing.T) {
	boom := errors.New("disk is on fire")
	waits := part{"gossip", func(ctx context.Context) error { <-ctx.Done(); return nil }}
	fails := part{"ingester", func(context.Context) error { return boom }}
	err := runParts(t.Context(), []part{waits, fails, waits}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "ingester") {
		t.Errorf("err = %v", err)
	}
}

func TestPartThatEndsOnItsOwnIsAFailure(t *testing.T) {
	ends := part{"receiver", func(context.Context) error { return nil }}
	if err := runParts(t.Context(), []part{ends}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "receiver ended") {
		t.Errorf("err = %v", err)
	}
}

// TestServersStopBeforeTheyBegin stops the servers of a node at the moment they
// start: that is no failure.
func TestServersStopBeforeTheyBegin(t *testing.T) {
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		for _, serve := range []func(net.Listener) part{
			func(l net.Listener) part { return httpPart(l, http.NotFoundHandler(), slog.New(slog.DiscardHandler)) },
			func(l net.Listener) part { return grpcPart(l, peer.NewClient(nil)) },
		} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			p := serve(l)
			if err := p.run(stopped); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
			if l.Close() == nil {
				t.Errorf("%s: the listener was left open", p.name)
			}
		}
	}
}

// pipe is a listener in a bubble: it accepts what is sent to it until it is closed.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.TCPAddr{} }

// TestServersStopInTime stops servers that have a connection which says nothing,
// and one whose answer is not ready in time: they are cut off, which is no failure.
func TestServersStopInTime(t *testing.T) {
	ends := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, serve := range []func(net.Listener) part{
		func(l net.Listener) part { return httpPart(l, ends, slog.New(slog.DiscardHandler)) },
		func(l net.Listener) part { return grpcPart(l, peer.NewClient(nil)) },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newPipe()
			p := serve(l)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- p.run(ctx) }()
			for _, says := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
				ours, theirs := net.Pipe()
				defer ours.Close()
				l.conns <- theirs
				go io.WriteString(ours, says) //nolint:errcheck // cut off
				go io.Copy(io.Discard, ours)  //nolint:errcheck // cut off
			}
			synctest.Wait()
			stop()
			began := time.Now()
			if err := <-done; err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
			if took := time.Since(began); took > 2*stopGrace {
				t.Errorf("%s: stops after %s", p.name, took)
			}
		})
	}
}
