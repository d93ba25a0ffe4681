package command

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
)

// TestLocalLabel: a tempod that runs here without a configuration has a label. Who says nothing at all finds it; who says
// anything gets what was said.
func TestLocalLabel(t *testing.T) {
	cases := []struct {
		name, cluster string
		args          []string
		env           map[string]string
		code          int
		says          string
	}{
		{"the default label", "tempod", nil, nil, 0, "127.0.0.1:7946 wants a cluster label; using --label tempod\n"},
		{"no words", "tempod", []string{"--quiet"}, nil, 0, ""},
		{"no label", "", nil, nil, 0, ""},
		{"another label", "prod", nil, nil, 3, "--label"},
		{"another label, told", "prod", []string{"--label", "prod"}, nil, 0, ""},
		{"told by the environment", "prod", nil, map[string]string{"RINGCTL_LABEL": "prod"}, 0, ""},
		{"told to use none", "tempod", []string{"--label="}, nil, 3, "--label"},
		{"told where", "tempod", []string{"--seeds", client.DefaultSeed}, nil, 3, "--label"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cluster, err := clienttest.Start(t.Context(), clienttest.Config{Label: c.cluster, Names: []string{"one"}})
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			if err := cluster.Put("collectors/ring", clienttest.Ring("ingester", 3, 4, time.Now())); err != nil {
				t.Fatal(err)
			}
			env, out, errs := testEnv(append([]string{"rings", "-o", "name"}, c.args...)...)
			home := t.TempDir()
			env.Getenv = func(k string) string {
				if k == "HOME" {
					return home
				}
				return c.env[k]
			}
			env.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
				if addr != client.DefaultSeed {
					t.Errorf("dialed %s", addr)
				}
				return new(net.Dialer).DialContext(ctx, "tcp", cluster.Addr("one"))
			}
			if code := Run(t.Context(), env); code != c.code {
				t.Fatalf("exit code %d, want %d: %s", code, c.code, errs)
			}
			if c.code == 0 && out.String() != "ingester\n" {
				t.Errorf("printed %q", out)
			}
			if !strings.Contains(errs.String(), c.says) || strings.Contains(errs.String(), "using --label") != strings.Contains(c.says, "using --label") {
				t.Errorf("said %q, want %q", errs, c.says)
			}
		})
	}
}
