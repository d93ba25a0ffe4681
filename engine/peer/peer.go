// Package peer carries typed calls from node to node: spans to the keepers
// that a ring names, and pieces of questions to those who can answer them.
//
// A [Client] holds one connection per address and closes those that nobody
// used for a while. A call to the node's own address does not touch the
// network: the parts of the process register themselves with [Client.Serve].
// The same registration answers the calls of other nodes through [Register].
//
// Deadlines come with the context; nothing is retried here, since who asks
// knows who else to ask. The messages are in peerpb/peer.proto.
package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer/peerpb"
	"github.com/ringctl/ringctl/engine/query"
)

// Keeper is a part of this process that holds recent spans.
type Keeper interface {
	// Push returns when the spans are durable. otlp is not used afterwards.
	Push(ctx context.Context, tenantID string, otlp []byte) error
	// Ask answers from the keeper's recent spans.
	Ask(ctx context.Context, q *Question) (*Answer, error)
}

// Answerer answers one piece of a question: a querier.
type Answerer interface {
	Answer(ctx context.Context, p *Piece) (*Answer, error)
}

// Role says which part of a node a call is for; see peerpb.
type Role = peerpb.Role

// maxMessage bounds one call in either direction.
const maxMessage = 100 << 20

// reconnect is quick: a keeper that restarts is missed by every push.
var reconnect = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// Client calls other nodes. The zero value is not usable; see NewClient. Safe
// for concurrent use.
type Client struct {
	creds credentials.TransportCredentials

	mu      sync.Mutex
	conns   map[string]*conn
	self    string // own address: calls to it stay in the process
	keepers map[Role]Keeper
	querier Answerer
	memory  query.Bounds // of questions from other nodes
}

type conn struct {
	*grpc.ClientConn
	used time.Time
}

// NewClient makes a client that speaks TLS when conf is not nil.
func NewClient(conf *tls.Config) *Client {
	creds := insecure.NewCredentials()
	if conf != nil {
		creds = credentials.NewTLS(conf)
	}
	return &Client{creds: creds, conns: map[string]*conn{}, keepers: map[Role]Keeper{}}
}

// Serve says who in this process answers calls to addr, the address that the
// rings know this process by. Nil parts are not offered. Call it once, before
// the first call.
func (c *Client) Serve(addr string, keepers map[Role]Keeper, querier Answerer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self, c.keepers, c.querier = addr, keepers, querier
}

// Bound sets the memory that questions from other nodes may use here. Call it
// before the server starts.
func (c *Client) Bound(m query.Bounds) { c.memory = m }

// Local reports whether addr is this process.
func (c *Client) Local(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return addr == c.self && addr != ""
}

func (c *Client) localKeeper(addr string, role Role) Keeper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if addr != c.self {
		return nil
	}
	return c.keepers[role]
}

func (c *Client) dial(addr string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.conns[addr]; have != nil {
		have.used = time.Now()
		return have.ClientConn, nil
	}
	cc, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(c.creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(8<<20),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 2 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	c.conns[addr] = &conn{cc, time.Now()}
	return cc, nil
}

// Push stores spans at the keeper with this role and address.
func (c *Client) Push(ctx context.Context, addr string, role Role, tenantID string, otlp []byte) error {
	if k := c.localKeeper(addr, role); k != nil {
		return k.Push(ctx, tenantID, otlp)
	}
	cc, err := c.dial(addr)
	if err != nil {
		return err
	}
	_, err = peerpb.NewKeeperClient(cc).Push(ctx, &peerpb.PushRequest{Role: role, Tenant: tenantID, Otlp: otlp})
	return err
}

// Ask asks the keeper with this role and address.
func (c *Client) Ask(ctx context.Context, addr string, role Role, q *Question) (*Answer, error) {
	if k := c.localKeeper(addr, role); k != nil {
		return k.Ask(ctx, q)
	}
	cc, err := c.dial(addr)
	if err != nil {
		return nil, err
	}
	req, err := q.request(role)
	if err != nil {
		return nil, err
	}
	r, err := peerpb.NewKeeperClient(cc).Ask(ctx, req)
	if err != nil {
		return nil, err
	}
	return q.received(ctx, r)
}

// Answer asks the querier at addr for a piece.
func (c *Client) Answer(ctx context.Context, addr string, p *Piece) (*Answer, error) {
	if c.Local(addr) && c.querier != nil {
		return c.querier.Answer(ctx, p)
	}
	cc, err := c.dial(addr)
	if err != nil {
		return nil, err
	}
	req, err := p.request(peerpb.Role_ROLE_UNSPECIFIED)
	if err != nil {
		return nil, err
	}
	r, err := peerpb.NewQuerierClient(cc).Ask(ctx, &peerpb.PieceRequest{Ask: req, Recent: p.Recent, Blocks: p.Blocks})
	if err != nil {
		return nil, err
	}
	return p.received(ctx, r)
}

// CloseIdle closes connections that were not used since before.
func (c *Client) CloseIdle(before time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all error
	for addr, cc := range c.conns {
		if cc.used.Before(before) {
			all = errors.Join(all, cc.Close())
			delete(c.conns, addr)
		}
	}
	return all
}

// Close closes every connection.
func (c *Client) Close() error { return c.CloseIdle(time.Now().Add(time.Hour)) }

// server answers the calls of other nodes from the parts a Client serves.
type server struct {
	peerpb.UnimplementedKeeperServer
	c *Client
}

type querierServer struct {
	peerpb.UnimplementedQuerierServer
	c *Client
}

// Register offers the parts of this process (see Client.Serve) on a gRPC
// server.
func Register(s grpc.ServiceRegistrar, c *Client) {
	peerpb.RegisterKeeperServer(s, server{c: c})
	peerpb.RegisterQuerierServer(s, querierServer{c: c})
}

// ServerOptions are the options that a gRPC server for peers needs.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.InitialWindowSize(1 << 20), grpc.InitialConnWindowSize(8 << 20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
}

func (s server) keeper(role Role) (Keeper, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if k := s.c.keepers[role]; k != nil {
		return k, nil
	}
	return nil, status.Errorf(codes.Unimplemented, "this node is no %s", role)
}

// Push stores spans at this node.
func (s server) Push(ctx context.Context, r *peerpb.PushRequest) (*peerpb.PushReply, error) {
	k, err := s.keeper(r.GetRole())
	if err != nil {
		return nil, err
	}
	return &peerpb.PushReply{}, k.Push(ctx, r.GetTenant(), r.GetOtlp())
}

// Ask answers from this node's recent spans.
func (s server) Ask(ctx context.Context, r *peerpb.AskRequest) (*peerpb.AskReply, error) {
	k, err := s.keeper(r.GetRole())
	if err != nil {
		return nil, err
	}
	q, err := parseRequest(r)
	if err != nil {
		return nil, err
	}
	ctx, mem := s.c.memory.Begin(ctx, q.Tenant)
	defer mem.Release()
	a, err := k.Ask(ctx, &q)
	if err != nil {
		return nil, err
	}
	return a.send(mem)
}

// Ask answers a piece at this node.
func (s querierServer) Ask(ctx context.Context, r *peerpb.PieceRequest) (*peerpb.AskReply, error) {
	if s.c.querier == nil {
		return nil, status.Error(codes.Unimplemented, "this node is no querier")
	}
	q, err := parseRequest(r.GetAsk())
	if err != nil {
		return nil, err
	}
	ctx, mem := s.c.memory.Begin(ctx, q.Tenant)
	defer mem.Release()
	a, err := s.c.querier.Answer(ctx, &Piece{Question: q, Recent: r.GetRecent(), Blocks: r.GetBlocks()})
	if err != nil {
		return nil, err
	}
	return a.send(mem)
}
