package settings_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/cmd/ringctl/settings"
)

func dirs(t *testing.T) settings.Dirs {
	t.Helper()
	home := t.TempDir()
	return settings.FindDirs(func(k string) string {
		if k == "HOME" {
			return home
		}
		return ""
	})
}

func TestFindDirs(t *testing.T) {
	cases := []struct {
		env           map[string]string
		config, state string
	}{
		{map[string]string{"HOME": "/h"}, "/h/.config/ringctl", "/h/.local/state/ringctl"},
		{map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}, "/c/ringctl", "/s/ringctl"},
		{map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, "/h/.config/ringctl", "/h/.local/state/ringctl"},
	}
	for _, c := range cases {
		d := settings.FindDirs(func(k string) string { return c.env[k] })
		if d.Config != c.config || d.State != c.state {
			t.Errorf("%v: %+v", c.env, d)
		}
	}
}

func TestContextsSurvive(t *testing.T) {
	d := dirs(t)
	f, err := d.Load()
	if err != nil || len(f.Contexts) != 0 {
		t.Fatalf("a missing file: %+v, %v", f, err)
	}
	yes := true
	f.Current = "prod"
	f.Contexts["prod"] = settings.Context{Seeds: []string{"a:7946"}, Label: "prod", HeartbeatTimeout: settings.Duration(90 * time.Second), ReadOnly: true,
		TLS: settings.TLS{CA: "/ca.pem"}, Rings: map[string]settings.Ring{"ingester": {ReplicationFactor: 3, ZoneAware: &yes}}}
	if err := d.Save(f); err != nil {
		t.Fatal(err)
	}
	got, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(f)
	b, _ := json.Marshal(got)
	if string(a) != string(b) {
		t.Errorf("got  %s\nwant %s", b, a)
	}
	info, err := os.Stat(d.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(d.Config, ".config-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

func TestMistakesInTheFileAreNamed(t *testing.T) {
	d := dirs(t)
	if err := os.MkdirAll(d.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"contexts:\n  prod:\n    sedes: [a]\n":    "sedes",
		"contexts:\n  prod:\n    timeout: soon\n": "soon",
		"contexts: [": "config.yaml",
		"contexts: {}\n" + strings.Repeat("# much\n", 200*1024): "larger",
	} {
		if err := os.WriteFile(d.Path(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
}

func TestAuditAppends(t *testing.T) {
	d := dirs(t)
	for _, id := range []string{"a", "b"} {
		if err := d.Audit(settings.Entry{At: time.Unix(1, 0).UTC(), ID: id, Action: "forget"}); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(d.AuditPath())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	var e settings.Entry
	if len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &e) != nil || e.ID != "b" {
		t.Errorf("%q", raw)
	}
}

func TestTLS(t *testing.T) {
	if c, err := (settings.TLS{}).Load(); c != nil || err != nil {
		t.Errorf("off: %v %v", c, err)
	}
	if c, err := (settings.TLS{Enabled: true, ServerName: "x"}).Load(); err != nil || c.ServerName != "x" {
		t.Errorf("on: %v %v", c, err)
	}
	for _, bad := range []settings.TLS{{CA: "/nowhere"}, {Cert: "/c"}, {Cert: "/c", Key: "/k"}} {
		if _, err := bad.Load(); err == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
}
