package gossip

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
)

// fakeDNS answers from two small tables.
type fakeDNS struct{}

func (fakeDNS) LookupHost(_ context.Context, host string) ([]string, error) {
	hosts := map[string][]string{
		"gossip.example": {"10.0.0.2", "10.0.0.1", "2001:db8::1"},
		"a.example":      {"10.1.0.1"},
		"b.example":      {"10.1.0.2"},
	}
	if ips := hosts[host]; ips != nil {
		return ips, nil
	}
	return nil, errors.New("no such host")
}

func (fakeDNS) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if service != "" || proto != "" || name != "_gossip._tcp.example" {
		return "", nil, errors.New("no such name")
	}
	return name, []*net.SRV{{Target: "b.example.", Port: 7947}, {Target: "a.example.", Port: 7946}}, nil
}

func TestResolve(t *testing.T) {
	for seed, want := range map[string]string{
		"10.0.0.1:7946":                  "10.0.0.1:7946",
		"10.0.0.1":                       "10.0.0.1:7946",
		"2001:db8::1":                    "[2001:db8::1]:7946",
		"[2001:db8::1]:8000":             "[2001:db8::1]:8000",
		"host":                           "host:7946",
		"dns+gossip.example:8000":        "10.0.0.1:8000 10.0.0.2:8000 [2001:db8::1]:8000",
		"dns+gossip.example":             "10.0.0.1:7946 10.0.0.2:7946 [2001:db8::1]:7946",
		"dnssrv+_gossip._tcp.example":    "10.1.0.1:7946 10.1.0.2:7947",
		"dnssrv+_gossip._tcp.example:1":  "10.1.0.1:7946 10.1.0.2:7947",
		"dnssrvnoa+_gossip._tcp.example": "a.example:7946 b.example:7947",
		"dns+nowhere.example":            "error: no such host",
		"dnssrv+nowhere.example":         "error: no such name",
		"consul+gossip":                  "error: unknown prefix",
	} {
		got, err := resolver{fakeDNS{}}.resolve(t.Context(), seed)
		if text, isErr := strings.CutPrefix(want, "error: "); isErr {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q, %v", seed, got, err)
			}
		} else if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %s", seed, got, err, want)
		}
	}
	got, err := resolver{fakeDNS{}}.addresses(t.Context(), "gossip.example:1")
	if err != nil || !slices.Equal(got, []string{"10.0.0.1:1", "10.0.0.2:1", "[2001:db8::1]:1"}) {
		t.Errorf("addresses of a host: %q, %v", got, err)
	}
}
