// Package livestore is one owner of a partition: it takes the spans of its
// partition, keeps them in a recent store, and answers questions about what it
// has. The store cuts blocks and ships them.
//
// Start with New; a LiveStore is a keeper in the sense of package peer. It
// refuses spans while its partition is INACTIVE, so that an operator who makes
// it so can rely on it, whatever a distributor has not yet heard. What it has
// stays readable.
package livestore

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/recent"
)

// Owned is the partition that this node owns.
type Owned interface {
	ID() int32
	Current() (partition.Partition, bool)
}

// LiveStore keeps the spans of a partition. Safe for concurrent use.
type LiveStore struct {
	store   *recent.Store
	blocks  peer.Opener
	owned   Owned
	flush   bool
	threads int
	now     func() time.Time
}

// New makes a live-store over a store that it owns from now on. With flush, all
// spans are shipped before Run returns. Questions use up to threads goroutines.
func New(store *recent.Store, blocks peer.Opener, owned Owned, flush bool, threads int, now func() time.Time) *LiveStore {
	return &LiveStore{store: store, blocks: blocks, owned: owned, flush: flush, threads: threads, now: now}
}

// spreading is how long distributors may take to hear that a partition became
// INACTIVE: until then its spans are still taken.
const spreading = 5 * time.Second

// Push returns when the spans are durable.
func (l *LiveStore) Push(ctx context.Context, tenantID string, otlp []byte) error {
	p, ok := l.owned.Current()
	if ok && p.State == partition.Inactive && l.now().Sub(time.Unix(p.StateTimestamp, 0)) > spreading {
		return status.Errorf(codes.Unavailable, "partition %d is INACTIVE and takes no spans; see: ringctl partitions", l.owned.ID())
	}
	return peer.PushError(l.store.Push(ctx, tenantID, otlp))
}

// Ask answers from the recent spans, and the blocks that the question names.
func (l *LiveStore) Ask(ctx context.Context, q *peer.Question) (*peer.Answer, error) {
	return peer.AnswerRecent(ctx, q, l.store.Sources(q.Tenant, q.Excluded()), l.blocks, l.threads)
}

// Store is where the spans are.
func (l *LiveStore) Store() *recent.Store { return l.store }

// Run lets the store work until ctx ends, then flushes if it is told to, and
// closes the store.
func (l *LiveStore) Run(ctx context.Context) error {
	err := l.store.Run(ctx)
	if l.flush {
		err = errors.Join(err, l.store.Flush(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, l.store.Close())
}
