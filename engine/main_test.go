package engine

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

// TestStopWhileStarting asks tempod to stop while it waits for a bucket that says
// nothing: it ends at once, and that is no failure.
func TestStopWhileStarting(t *testing.T) {
	t.Setenv("GOGC", "100") // the test's process keeps its settings
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			stop() // as by a signal, as soon as the bucket is asked
			defer conn.Close()
		}
	}()
	config := t.TempDir() + "/tempod.yaml"
	write(t, config, `
server: {http_listen_port: 0, grpc_listen_port: 0}
memory: {automemlimit_enabled: false}
storage: {trace: {backend: s3, s3: {bucket: traces, endpoint: "`+l.Addr().String()+`", access_key: a, secret_key: b, insecure: true}}}
`)
	var stderr strings.Builder
	code := Main(ctx, []string{"--config.file", config, "--data.dir", t.TempDir()}, io.Discard, &stderr)
	if code != exitOK || !strings.Contains(stderr.String(), "stopped while starting") {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
}
