// Package consulkv keeps rings in Consul, under the same keys and in the same form as the dskit family does, so both
// kinds of process can share one Consul. Start with [Open].
//
// Consul refuses values over 512 KB unless its kv_max_value_size is raised: that is a ring of about 200 members with
// 512 tokens each.
package consulkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/ringctl/ringctl/engine/kv"
)

// Config holds the connection settings. The YAML keys are those of the `consul` block of a ring's kvstore.
type Config struct {
	Host              string        `yaml:"host"` // host:port, or a URL
	ACLToken          string        `yaml:"acl_token"`
	HTTPClientTimeout time.Duration `yaml:"http_client_timeout"`
	ConsistentReads   bool          `yaml:"consistent_reads"`
	WatchRateLimit    float64       `yaml:"watch_rate_limit"` // watch answers per second; 0: no limit
	WatchBurstSize    int           `yaml:"watch_burst_size"`
	CASRetryDelay     time.Duration `yaml:"cas_retry_delay"` // at most; the first retries are faster
}

// DefaultConfig returns the settings for a Consul agent on this machine.
func DefaultConfig() Config {
	return Config{Host: "localhost:8500", HTTPClientTimeout: 20 * time.Second, WatchRateLimit: 1, WatchBurstSize: 1, CASRetryDelay: time.Second}
}

// Store is a kv.Store in Consul.
type Store struct {
	kv  *api.KV
	cfg Config
	log *slog.Logger
}

var _ kv.Store = (*Store)(nil)

// Open returns a store. Nothing is sent until it is used.
func Open(cfg Config, log *slog.Logger) (*Store, error) {
	if cfg.HTTPClientTimeout <= 0 {
		return nil, errors.New("consul: http_client_timeout must be above 0")
	}
	client, err := api.NewClient(&api.Config{
		Address: cfg.Host, Token: cfg.ACLToken, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment},
		HttpClient: &http.Client{Timeout: cfg.HTTPClientTimeout},
	})
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	return &Store{kv: client.KV(), cfg: cfg, log: log}, nil
}

func (s *Store) options(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{AllowStale: !s.cfg.ConsistentReads, RequireConsistent: s.cfg.ConsistentReads}).WithContext(ctx)
}

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	cur, _, err := s.kv.Get(key, s.options(ctx))
	if err != nil {
		return nil, fmt.Errorf("consul: get %s: %w", key, err)
	}
	if cur == nil {
		return nil, nil
	}
	return cur.Value, nil
}

// CAS implements kv.Store.
func (s *Store) CAS(ctx context.Context, key string, f func(in []byte) (out []byte, retry bool, err error)) error {
	pause := func(try int) time.Duration { return backoff(try, s.cfg.CASRetryDelay) }
	return kv.Retry(ctx, "consul: compare-and-swap "+key, kv.MaxTries, pause, func() (bool, error) { return s.try(ctx, key, f) })
}

// try makes one attempt; done tells whether err is final.
func (s *Store) try(ctx context.Context, key string, f func(in []byte) (out []byte, retry bool, err error)) (done bool, err error) {
	opts := s.options(ctx)
	opts.AllowStale, opts.RequireConsistent = false, true // an old value could not be replaced anyway
	cur, _, err := s.kv.Get(key, opts)
	if err != nil {
		return ctx.Err() != nil, fmt.Errorf("get: %w", err)
	}
	next := &api.KVPair{Key: key}
	var in []byte
	if cur != nil {
		in, next.ModifyIndex = cur.Value, cur.ModifyIndex
	}
	out, retry, err := f(in)
	if err != nil || out == nil {
		return err == nil || !retry, err
	}
	next.Value = out
	stored, _, err := s.kv.CAS(next, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return ctx.Err() != nil, fmt.Errorf("put: %w", err)
	}
	if !stored {
		return false, kv.ErrConflict
	}
	return true, nil
}

// Watch implements kv.Store. It survives restarts of the agent: after each interruption it reads the value again.
func (s *Store) Watch(ctx context.Context, key string, f func(value []byte) bool) {
	var index, seen uint64
	var last []byte // what f was given: a server that was set up anew may count up to the same index
	pace := s.pace()
	for failures := 0; ctx.Err() == nil; {
		if pace(ctx) != nil {
			return
		}
		opts := s.options(ctx)
		opts.WaitIndex, opts.WaitTime = index, s.cfg.HTTPClientTimeout/2
		cur, meta, err := s.kv.Get(key, opts)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			failures, index = failures+1, 0
			s.log.Warn("consul: watch interrupted, trying again", "key", key, "err", err)
			if kv.Wait(ctx, backoff(failures, 5*time.Second)) != nil {
				return
			}
			continue
		}
		failures = 0
		if meta.LastIndex < index || meta.LastIndex == 0 {
			index, seen = 0, 0 // the server was set up anew: start over, as its documentation asks
			continue
		}
		index = meta.LastIndex
		if cur != nil && (cur.ModifyIndex != seen || !bytes.Equal(cur.Value, last)) {
			seen, last = cur.ModifyIndex, cur.Value
			if !f(cur.Value) {
				return
			}
		}
	}
}

// pace returns a function that waits so that it returns at most as often as the configuration says.
func (s *Store) pace() func(context.Context) error {
	if s.cfg.WatchRateLimit <= 0 {
		return func(ctx context.Context) error { return ctx.Err() }
	}
	gap := time.Duration(float64(time.Second) / s.cfg.WatchRateLimit)
	burst := time.Duration(max(s.cfg.WatchBurstSize, 1)-1) * gap
	var due time.Time
	return func(ctx context.Context) error {
		now := time.Now()
		due = later(due, now.Add(-burst))
		d := due.Sub(now)
		due = due.Add(gap)
		return kv.Wait(ctx, d)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// List implements kv.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	keys, _, err := s.kv.Keys(prefix, "", s.options(ctx))
	if err != nil {
		return nil, fmt.Errorf("consul: list %s: %w", prefix, err)
	}
	slices.Sort(keys)
	return keys, nil
}

// backoff grows to most, with dice so that competitors part.
func backoff(try int, most time.Duration) time.Duration {
	d := max(min(10*time.Millisecond<<min(try, 12), most), 2)
	return d/2 + rand.N(d/2)
}
