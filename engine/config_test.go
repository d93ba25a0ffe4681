package engine

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreValidForEveryTarget(t *testing.T) {
	for _, target := range Targets() {
		c := Default(target, "data")
		c.Instance.ID = "node-1"
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestFileNamesEveryMistakeWithItsLine(t *testing.T) {
	c := Default(TargetAll, "data")
	err := ParseConfig(&c, []byte(`
target: distributor
distributor:
  write_pth: partitions
  receivers:
    otlp:
      protocols:
        grcp: {endpoint: "localhost:4317"}
storage:
  trace:
    blocklist_poll: soon
nonsense_that_is_like_nothing: 1
`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"line 4: unknown key distributor.write_pth; did you mean write_path?",
		"line 8: unknown key distributor.receivers.otlp.protocols.grcp; did you mean grpc?",
		"line 11: cannot unmarshal",
		"line 12: unknown key nonsense_that_is_like_nothing; known here: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
}

func TestTempoFileMovesOver(t *testing.T) {
	c := Default(TargetAll, "data")
	err := ParseConfig(&c, []byte(`
multitenancy_enabled: true
server: {http_listen_port: 3201}
memberlist:
  join_members: [gossip-ring:7946]
  cluster_label: prod
ingester:
  lifecycler:
    ring: {replication_factor: 3, heartbeat_timeout: 5m, kvstore: {store: memberlist}}
  max_block_duration: 30m
storage:
  trace: {backend: s3, s3: {bucket: traces, endpoint: "s3:9000", access_key: a, secret_key: hush, insecure: true}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if !c.MultiTenant || c.Server.HTTPPort != 3201 || c.Ingester.Lifecycler.Ring.HeartbeatTimeout != 5*time.Minute || c.Ingester.Recent.MaxBlockAge != 30*time.Minute {
		t.Errorf("config = %s", c.String())
	}
	if strings.Contains(c.String(), "hush") || !strings.Contains(c.String(), "********") {
		t.Error("the secret is printed")
	}
}

func TestValidateReportsAllAtOnce(t *testing.T) {
	c := Default("all,writer", "data")
	c.Server.HTTPPort = 70000
	c.Distributor.WritePath = "carrier-pigeon"
	c.Memberlist.ClusterLabel = ""
	c.Distributor.Receivers.MaxMessageBytes = 64 << 20
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"target", "writer", "http_listen_port", "carrier-pigeon", "cluster_label", "max_message_bytes is 67108864; 1024 to 66060288"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
}

func TestEnvAndFlagsWinOverTheFile(t *testing.T) {
	env := map[string]string{"TEMPOD_SERVER_HTTP_LISTEN_PORT": "3300", "TEMPOD_INSTANCE_ID": "from-env"}
	look := func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	o, err := parseArgs([]string{"--instance.id", "from-flag", "--memberlist.join", "a:1,b:2", "--memberlist.join", "c:3"}, look, &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	if o.config.Server.HTTPPort != 3300 || o.config.Instance.ID != "from-flag" || len(o.config.Memberlist.JoinMembers) != 3 {
		t.Errorf("config = %s", o.config.String())
	}
}

func TestExpandEnv(t *testing.T) {
	look := func(k string) (string, bool) { return "yes", k == "SET" }
	if got := string(expandEnv([]byte("a: ${SET} ${UNSET:other} ${UNSET}|"), look)); got != "a: yes other |" {
		t.Errorf("got %q", got)
	}
}

// TestShortAdminTokenIsRefused at the start, not at the first change.
func TestShortAdminTokenIsRefused(t *testing.T) {
	path := t.TempDir() + "/token"
	for _, tt := range []struct{ token, says string }{
		{"", ""}, // no file yet
		{"0123456789abcde\n", "line 4: ring_admin.token_file: the admin token in " + path + " has 15 characters, at least 16 are needed"},
		{"0123456789abcdef\n", ""},
	} {
		if tt.token != "" {
			write(t, path, tt.token)
		}
		c := Default(TargetAll, "data")
		c.Instance.ID = "node-1"
		if err := ParseConfig(&c, []byte("server: {log_level: info}\nring_admin:\n  audit_file: audit\n  token_file: "+path+"\n")); err != nil {
			t.Fatal(err)
		}
		says := ""
		if err := c.Validate(); err != nil {
			says = err.Error()
		}
		if says != tt.says {
			t.Errorf("token %q: %q, want %q", tt.token, says, tt.says)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
