// Package etcdkv keeps rings in etcd, under the same keys and in the same form as the dskit family does, so both kinds
// of process can share one etcd. Start with [Open].
package etcdkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/ringctl/ringctl/engine/kv"
)

// Config holds the connection settings. The YAML keys are those of the `etcd` block of a ring's kvstore.
type Config struct {
	Endpoints   []string      `yaml:"endpoints"`
	DialTimeout time.Duration `yaml:"dial_timeout"`
	MaxRetries  int           `yaml:"max_retries"`
	Username    string        `yaml:"username"`
	Password    string        `yaml:"password"`

	TLSEnabled         bool   `yaml:"tls_enabled"`
	CertPath           string `yaml:"tls_cert_path"`
	KeyPath            string `yaml:"tls_key_path"`
	CAPath             string `yaml:"tls_ca_path"`
	ServerName         string `yaml:"tls_server_name"`
	InsecureSkipVerify bool   `yaml:"tls_insecure_skip_verify"`
}

// DefaultConfig returns the settings for an etcd on this machine.
func DefaultConfig() Config {
	return Config{Endpoints: []string{"127.0.0.1:2379"}, DialTimeout: 10 * time.Second, MaxRetries: kv.MaxTries}
}

// Store is a kv.Store in etcd.
type Store struct {
	client *clientv3.Client
	cfg    Config
	log    *slog.Logger
}

var _ kv.Store = (*Store)(nil)

// Open connects. It returns at once even when no server answers yet; calls wait and fail by their contexts.
func Open(cfg Config, log *slog.Logger) (*Store, error) {
	conf := clientv3.Config{
		Endpoints: cfg.Endpoints, DialTimeout: cfg.DialTimeout, Username: cfg.Username, Password: cfg.Password,
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: cfg.DialTimeout, PermitWithoutStream: true,
		Logger: zap.NewNop(), // its warnings about reconnecting come back to us as errors
	}
	if cfg.TLSEnabled {
		info := transport.TLSInfo{
			CertFile: cfg.CertPath, KeyFile: cfg.KeyPath, TrustedCAFile: cfg.CAPath, ServerName: cfg.ServerName,
			InsecureSkipVerify: cfg.InsecureSkipVerify,
		}
		var err error
		if conf.TLS, err = info.ClientConfig(); err != nil {
			return nil, fmt.Errorf("etcd: tls: %w", err)
		}
	}
	c, err := clientv3.New(conf)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if cfg.MaxRetries <= 0 {
		cfg.MaxRetries = kv.MaxTries
	}
	return &Store{client: c, cfg: cfg, log: log}, nil
}

// Close ends the connection and all watches.
func (s *Store) Close() error { return s.client.Close() }

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	cur, _, err := s.get(ctx, key)
	if err != nil || cur == nil {
		return nil, err
	}
	return cur.Value, nil
}

// get returns the entry, or nil, and the revision of the answer.
func (s *Store) get(ctx context.Context, key string) (*mvccpb.KeyValue, int64, error) {
	resp, err := s.client.Get(ctx, key)
	if err != nil {
		return nil, 0, fmt.Errorf("etcd: get %s: %w", key, err)
	}
	if len(resp.Kvs) == 0 {
		return nil, resp.Header.Revision, nil
	}
	return resp.Kvs[0], resp.Header.Revision, nil
}

// CAS implements kv.Store.
func (s *Store) CAS(ctx context.Context, key string, f func(in []byte) (out []byte, retry bool, err error)) error {
	return kv.Retry(ctx, "etcd: compare-and-swap "+key, s.cfg.MaxRetries, backoff, func() (bool, error) { return s.try(ctx, key, f) })
}

// try makes one attempt; done tells whether err is final.
func (s *Store) try(ctx context.Context, key string, f func(in []byte) (out []byte, retry bool, err error)) (done bool, err error) {
	cur, _, err := s.get(ctx, key)
	if err != nil {
		return ctx.Err() != nil, err
	}
	var in []byte
	revision := int64(0) // of an entry that does not exist
	if cur != nil {
		in, revision = cur.Value, cur.ModRevision
	}
	out, retry, err := f(in)
	if err != nil || out == nil {
		return err == nil || !retry, err
	}
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, string(out))).
		Commit()
	if err != nil {
		return ctx.Err() != nil, fmt.Errorf("put: %w", err)
	}
	if !resp.Succeeded {
		return false, kv.ErrConflict
	}
	return true, nil
}

// Watch implements kv.Store. It survives restarts of the server: after each interruption it reads the value again, and
// it takes a server that lost its state for what it is, whatever revision that one has counted up to. The client's own
// watch would not do: it hides interruptions and asks on from the old revision, which a server set up anew reaches in hours.
func (s *Store) Watch(ctx context.Context, key string, f func(value []byte) bool) {
	var last *mvccpb.KeyValue // what f was given
	deliver := func(e *mvccpb.KeyValue) bool {
		if last != nil && last.ModRevision == e.ModRevision && bytes.Equal(last.Value, e.Value) {
			return true
		}
		last = e
		return f(e.Value)
	}
	for try := 0; ctx.Err() == nil; try++ {
		cur, revision, err := s.get(ctx, key)
		if err == nil {
			if cur != nil && !deliver(cur) {
				return
			}
			var more, began bool
			if more, began, err = s.follow(ctx, key, revision+1, deliver); !more {
				return
			}
			if began {
				try = 0
			}
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("etcd: watch interrupted, trying again", "key", key, "err", err)
		if kv.Wait(ctx, backoff(try+1)) != nil {
			return
		}
	}
}

// follow passes events from a revision on until the stream breaks (more is true) or nobody wants them. began tells
// whether the server had taken the watch.
func (s *Store) follow(ctx context.Context, key string, revision int64, deliver func(*mvccpb.KeyValue) bool) (more, began bool, err error) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx)) // the end of ctx ends the stream
	defer cancel()
	stream, err := pb.NewWatchClient(s.client.ActiveConnection()).Watch(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32)) // as the client's own
	if err != nil {
		return true, false, err
	}
	create := &pb.WatchCreateRequest{Key: []byte(key), StartRevision: revision}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil && !errors.Is(err, io.EOF) {
		return true, false, err // of io.EOF the reason comes from Recv
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return true, began, err
		}
		if resp.Canceled {
			return true, began, fmt.Errorf("the server ended the watch: %s (compacted at revision %d)", resp.CancelReason, resp.CompactRevision)
		}
		began = true
		if n := len(resp.Events); n > 0 { // the newest of them is enough
			if e := resp.Events[n-1]; e.Type == mvccpb.PUT && !deliver(e.Kv) {
				return false, true, nil
			}
		}
	}
}

// List implements kv.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	resp, err := s.client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
	if err != nil {
		return nil, fmt.Errorf("etcd: list %s: %w", prefix, err)
	}
	var keys []string
	for _, e := range resp.Kvs {
		keys = append(keys, string(e.Key))
	}
	return keys, nil
}

// backoff grows to about two seconds, with dice so that competitors part.
func backoff(try int) time.Duration {
	d := 10 * time.Millisecond << min(try, 8)
	return min(d, 2*time.Second)/2 + rand.N(min(d, 2*time.Second)/2)
}
