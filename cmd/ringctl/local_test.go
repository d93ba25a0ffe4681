package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestThreeMinutes starts tempod without any configuration, as the README does, in a network of its own where the usual
// ports are free, and looks at it with ringctl without flags.
func TestThreeMinutes(t *testing.T) {
	if os.Getenv("RINGCTL_TEST_NETNS") == "" {
		t.Skip("set RINGCTL_TEST_NETNS=1 (and be root) to run in a network namespace")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	tempod, ringctl := program(t, "tempod"), program(t, "ringctl")
	dir := t.TempDir()
	script := `ip link set lo up && cd "$1" || exit 1
"$2" >ready 2>log &
trap 'kill $!; wait $!' EXIT
for i in $(seq 300); do grep -q '^tempod ready' ready && break; sleep 0.1; done
"$3" wait --for=healthy --max 60s --interval 500ms && "$3" status && "$3" members ingester && "$3" doctor --fail-on=warning && "$3" check`
	cmd := exec.Command("unshare", "-n", "sh", "-c", script, "sh", dir, tempod, ringctl)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("%v\n%s\ntempod:\n%s", err, out, log)
	}
	for _, want := range []string{"127.0.0.1:7946 wants a cluster label; using --label tempod", "ingester", "nothing found in 1 view with"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// TestReadmeNeedsNoFlags: the README's first look is at the tempod of the paragraph before, as TestThreeMinutes does it.
func TestReadmeNeedsNoFlags(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"\nringctl status\n", "\nringctl members ingester\n"} {
		if !strings.Contains(string(readme), line) {
			t.Errorf("the README has no line %q", strings.TrimSpace(line))
		}
	}
}

// TestTempodBehindTLS: gossip with TLS, where members want a certificate from whoever asks.
func TestTempodBehindTLS(t *testing.T) {
	program(t, "tempod") // or skip
	dir := t.TempDir()
	pki := newPKI(t, dir)
	config, err := yaml.Marshal(map[string]any{
		"server": map[string]any{"http_listen_address": "127.0.0.1", "http_listen_port": 0, "grpc_listen_address": "127.0.0.1", "grpc_listen_port": 0},
		"memberlist": map[string]any{"cluster_label": "secret", "bind_addr": []string{"127.0.0.1"}, "bind_port": 0, "tls_enabled": true, "tls_cert_path": pki.cert, "tls_key_path": pki.key,
			"tls_ca_path": pki.ca, "tls_server_name": "gossip.test", "tls_require_client_certificate": true},
		"distributor": map[string]any{"receivers": map[string]any{"otlp": map[string]any{"protocols": map[string]any{
			"grpc": map[string]any{"endpoint": "127.0.0.1:0"}, "http": map[string]any{"endpoint": "127.0.0.1:0"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tempod.yaml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, whole: t, dir: dir, home: t.TempDir()}
	l.add("all", "one", "")
	seeds := []string{"--seeds", l.server("one").addrs["gossip"], "--timeout", "30s"}
	secure := append(seeds, "--tls-ca", pki.ca, "--tls-server-name", "gossip.test")
	for _, c := range []struct {
		flags []string
		says  string
	}{
		{append(seeds, "--label", "secret"), "TLS"},
		{append(secure, "--label", "secret"), "certificate"},
		{append(secure, "--label", "other", "--tls-cert", pki.cert, "--tls-key", pki.key), "--label"},
		{append(seeds, "--label", "secret", "--tls", "--tls-cert", pki.cert, "--tls-key", pki.key), "certificate"},
	} {
		l.where = c.flags
		if _, words := l.ringctl(3, "status"); !strings.Contains(words, c.says) {
			t.Errorf("%v: %s", c.flags, words)
		}
	}
	l.where = append(secure, "--label", "secret", "--tls-cert", pki.cert, "--tls-key", pki.key)
	l.ringctl(0, "wait", "--for=joined=one", "--ring=ingester", "--max=60s", "--interval=500ms")
	l.ringctl(5, "forget", "ingester", "one", "--yes")
	l.ringctl(0, "views")
	l.where = nil
	l.ringctl(0, "context", "set", "secret", "--seeds", l.server("one").addrs["gossip"], "--label", "secret",
		"--tls-ca", pki.ca, "--tls-cert", pki.cert, "--tls-key", pki.key, "--tls-server-name", "gossip.test")
	l.ringctl(0, "--context", "secret", "members", "ingester", "-o", "name")
}
