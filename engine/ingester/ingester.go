// Package ingester is one node's share of the replicated write path: it takes
// the spans that the ring gives it, keeps them in a recent store, and answers
// questions about what it has. The store cuts blocks and ships them.
//
// Start with New; an Ingester is a keeper in the sense of package peer.
package ingester

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/recent"
	"github.com/ringctl/ringctl/engine/ring"
)

// Member is this node's place in the ingester ring.
type Member interface{ State() ring.State }

// Ingester keeps spans. Safe for concurrent use.
type Ingester struct {
	store   *recent.Store
	blocks  peer.Opener
	member  Member
	flush   bool
	threads int
}

// New makes an ingester over a store that it owns from now on. With flush, all
// spans are shipped before Run returns. Questions use up to threads goroutines.
func New(store *recent.Store, blocks peer.Opener, member Member, flush bool, threads int) *Ingester {
	return &Ingester{store: store, blocks: blocks, member: member, flush: flush, threads: threads}
}

// Push returns when the spans are durable. A node that has left the ring takes
// none: the sender's next choice is another one.
func (i *Ingester) Push(ctx context.Context, tenantID string, otlp []byte) error {
	if s := i.member.State(); s == ring.Left {
		return status.Errorf(codes.Unavailable, "this ingester has left the ring")
	}
	return peer.PushError(i.store.Push(ctx, tenantID, otlp))
}

// Ask answers from the recent spans, and the blocks that the question names.
func (i *Ingester) Ask(ctx context.Context, q *peer.Question) (*peer.Answer, error) {
	return peer.AnswerRecent(ctx, q, i.store.Sources(q.Tenant, q.Excluded()), i.blocks, i.threads)
}

// Store is where the spans are.
func (i *Ingester) Store() *recent.Store { return i.store }

// Run lets the store work until ctx ends, then flushes if it is told to, and
// closes the store.
func (i *Ingester) Run(ctx context.Context) error {
	err := i.store.Run(ctx)
	if i.flush {
		err = errors.Join(err, i.store.Flush(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, i.store.Close())
}
