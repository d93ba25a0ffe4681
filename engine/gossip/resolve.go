package gossip

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// DefaultPort is the gossip port when an address names none.
const DefaultPort = "7946"

// Resolve turns a seed into addresses "ip:port", sorted and without repetition:
//
//	host:port            as it is (the port may be missing)
//	dns+host:port        every address of the host
//	dnssrv+name          the SRV records of the name, and the addresses of their targets
//	dnssrvnoa+name       the SRV records of the name, targets left as names
//
// For dnssrv the name is the whole record name, like _gossip._tcp.example.org.
func Resolve(ctx context.Context, seed string) ([]string, error) {
	return resolver{net.DefaultResolver}.resolve(ctx, seed)
}

// lookup is the part of net.Resolver that is used.
type lookup interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

type resolver struct{ lookup }

func (r resolver) resolve(ctx context.Context, seed string) ([]string, error) {
	kind, name, ok := strings.Cut(seed, "+")
	if !ok {
		kind, name = "", seed
	}
	var out []string
	var err error
	switch kind {
	case "":
		out = []string{withPort(name)}
	case "dns":
		out, err = r.hosts(ctx, withPort(name))
	case "dnssrv", "dnssrvnoa":
		out, err = r.srv(ctx, name, kind == "dnssrv")
	default:
		return nil, fmt.Errorf("resolve %q: unknown prefix %q, want dns+, dnssrv+ or dnssrvnoa+", seed, kind+"+")
	}
	if err != nil {
		return nil, fmt.Errorf("resolve %q: %w", seed, err)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// addresses is resolve with host names replaced by their addresses: memberlist would look them up in a way of its own,
// over TCP and without a context.
func (r resolver) addresses(ctx context.Context, seed string) ([]string, error) {
	named, err := r.resolve(ctx, seed)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range named {
		addrs, err := r.hosts(ctx, a)
		if err != nil {
			return nil, fmt.Errorf("resolve %q: %w", seed, err)
		}
		out = append(out, addrs...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (r resolver) hosts(ctx context.Context, hostport string) ([]string, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) != nil {
		return []string{hostport}, nil
	}
	ips, err := r.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(ips))
	for _, ip := range ips {
		out = append(out, net.JoinHostPort(ip, port))
	}
	return out, nil
}

func (r resolver) srv(ctx context.Context, name string, addresses bool) ([]string, error) {
	host, _, err := net.SplitHostPort(name) // a port may be given; the records carry the right one
	if err != nil {
		host = name
	}
	_, records, err := r.LookupSRV(ctx, "", "", host)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, rec := range records {
		target := net.JoinHostPort(strings.TrimSuffix(rec.Target, "."), strconv.Itoa(int(rec.Port)))
		if !addresses {
			out = append(out, target)
			continue
		}
		ips, err := r.hosts(ctx, target)
		if err != nil {
			return nil, err
		}
		out = append(out, ips...)
	}
	return out, nil
}

// withPort adds the default port to an address without one.
func withPort(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), DefaultPort)
}
