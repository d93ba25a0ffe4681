package kvtest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Addr is an address of this machine that nobody listens on, for a server that is stopped and started again. Its port is
// below those that systems give to connections, one of which could have it in the meantime.
func Addr(t testing.TB) (addr, port string) {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20_000 + rand.IntN(10_000))
		addr := net.JoinHostPort("127.0.0.1", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return addr, port
		}
	}
	t.Fatal("no free port")
	return "", ""
}
