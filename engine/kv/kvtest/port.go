package kvtest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Addr is an address of this machine.
type Addr struct{ HostPort, Port string }

// Addrs are n addresses of this machine that nobody listens on, for servers that are stopped and started again. Their ports
// are below those that systems give to connections, one of which could have it in the meantime.
func Addrs(t testing.TB, n int) []Addr {
	t.Helper()
	var out []Addr
	for range 100 {
		port := strconv.Itoa(20_000 + rand.IntN(10_000))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			continue
		}
		defer l.Close() // all at once, so that they differ
		if out = append(out, Addr{l.Addr().String(), port}); len(out) == n {
			return out
		}
	}
	t.Fatal("no free port")
	return nil
}
