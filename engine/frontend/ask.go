package frontend

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/query"
)

// ask answers a question about one tenant: it cuts the blocks of the time range
// into pieces, one of which also asks the keepers, and gathers the answers.
func (f *Frontend) ask(ctx context.Context, q peer.Question, w window) (*peer.Answer, error) {
	addrs := f.queriers.Healthy()
	if len(addrs) == 0 {
		return nil, errNoQuerier()
	}
	blocks := f.blocks.Overlapping(q.Tenant, w.start, w.end)
	for _, b := range blocks {
		q.Without = append(append(q.Without, b.ID), b.Replaces...)
	}
	q.Whole = q.Metrics != nil && query.LooksAtWholeTraces(q.Metrics.Query) || q.Search != nil && query.LooksAtWholeTraces(q.Search.Query)
	if f.cfg.Copies && q.Once() {
		q.Young, blocks = split(blocks, f.now().Add(-f.cfg.Young).UnixNano())
		if q.Whole {
			q.Border, _ = split(blocks, f.now().Add(-2*f.cfg.Young).UnixNano())
		}
	}
	blocks, left := f.newest(&q, blocks)
	pieces := cut(q, blocks, len(addrs))
	answers := make([]*peer.Answer, len(pieces))
	errs := make([]error, len(pieces))
	var wg sync.WaitGroup
	for i := range pieces {
		wg.Go(func() { answers[i], errs[i] = f.answer(ctx, addrs, pieces[i]) })
	}
	wg.Wait()
	a, err := gather(ctx, &q, answers, errs, f.cfg.Copies)
	if err == nil && left > 0 {
		a.Missing = append(a.Missing, fmt.Sprintf("%d older blocks (read.max_blocks_per_tag_values_query)", left))
	}
	return a, err
}

// split takes the blocks with spans after a time out of a list.
func split(blocks []Block, after int64) (young []string, old []Block) {
	for _, b := range blocks {
		if b.End >= after {
			young = append(young, b.ID)
		} else {
			old = append(old, b)
		}
	}
	return young, old
}

// piecesPerQuerier is more than one, so that a slow piece does not leave the
// other queriers idle; blocksPerPiece keeps small questions in one piece.
const (
	piecesPerQuerier = 2
	blocksPerPiece   = 8
)

// cut deals blocks, newest first, into pieces of similar size that are each a
// stretch of time. The first piece, with the newest blocks, asks the keepers
// too. With one querier there is one piece. A question about whole traces is cut
// by the ids of traces instead: docs/decisions/0004.
func cut(q peer.Question, blocks []Block, queriers int) []*peer.Piece {
	n := min(queriers*piecesPerQuerier, (len(blocks)+blocksPerPiece-1)/blocksPerPiece)
	if queriers == 1 {
		n = 1
	}
	if q.Whole && n > 1 {
		return cutByID(q, blocks, n)
	}
	var total int64
	for _, b := range blocks {
		total += b.Bytes
	}
	pieces := []*peer.Piece{{Question: q, Recent: true}}
	var size int64
	for _, b := range blocks {
		if p := len(pieces); p < n && size >= total*int64(p)/int64(n) {
			next := q
			next.Without, next.Young = nil, nil // only keepers need them
			pieces = append(pieces, &peer.Piece{Question: next})
		}
		last := pieces[len(pieces)-1]
		last.Blocks = append(last.Blocks, b.ID)
		size += b.Bytes
	}
	return pieces
}

// cutByID makes a piece for the keepers and n for the blocks, each with all of
// them and a share of the trace ids.
func cutByID(q peer.Question, blocks []Block, n int) []*peer.Piece {
	pieces := []*peer.Piece{{Question: q, Recent: true}}
	q.Without = nil
	var all []string
	for _, b := range blocks {
		all = append(all, b.ID)
	}
	for _, ids := range query.DivideIDs(n) {
		pieces = append(pieces, &peer.Piece{Question: *q.WithIDs(ids), Blocks: all})
	}
	return pieces
}

// load counts the pieces that each querier works on for this frontend.
type load struct {
	mu    sync.Mutex
	count map[string]int
}

// take picks the least busy of the addresses and counts one piece for it.
func (l *load) take(addrs []string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == nil {
		l.count = map[string]int{}
	}
	best := addrs[0]
	for _, a := range addrs[1:] {
		if l.count[a] < l.count[best] {
			best = a
		}
	}
	l.count[best]++
	return best
}

func (l *load) put(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count[addr]--; l.count[addr] <= 0 {
		delete(l.count, addr)
	}
}

// answer asks one querier, and another one if the first cannot be reached.
func (f *Frontend) answer(ctx context.Context, addrs []string, p *peer.Piece) (*peer.Answer, error) {
	addrs = slices.Clone(addrs)
	for {
		addr := f.load.take(addrs)
		a, err := f.answerer.Answer(ctx, addr, p)
		f.load.put(addr)
		if status.Code(err) != codes.Unavailable || len(addrs) == 1 {
			return a, err
		}
		addrs = slices.DeleteFunc(addrs, func(x string) bool { return x == addr })
	}
}

// gather merges the answers of all pieces, which may have found copies of the
// same spans. A piece that failed makes the answer
// partial, unless the question itself is at fault or nothing could be answered.
func gather(ctx context.Context, q *peer.Question, answers []*peer.Answer, errs []error, copies bool) (*peer.Answer, error) {
	var sum *peer.Answer
	var missing []string
	var failed error
	for i, a := range answers {
		if err := errs[i]; err != nil {
			switch codeOf(err) {
			case codes.InvalidArgument, codes.ResourceExhausted, codes.Aborted, codes.Canceled, codes.DeadlineExceeded:
				return nil, err
			}
			missing, failed = append(missing, message(err)), err
			continue
		}
		if sum == nil {
			sum = a
			continue
		}
		if err := q.Merge(ctx, sum, a, copies && q.Search != nil); err != nil {
			return nil, err
		}
	}
	if sum == nil {
		return nil, failed
	}
	sum.Missing = once(append(sum.Missing, missing...))
	return sum, nil
}

// once leaves out what was said before: several pieces may miss the same block.
func once(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// askAll answers a question about several tenants.
func (f *Frontend) askAll(ctx context.Context, tenants []string, q peer.Question, w window) (*peer.Answer, error) {
	var sum *peer.Answer
	for _, t := range tenants {
		one := forTenant(q, t)
		a, err := f.ask(ctx, one, w)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = a
		} else if err := one.Merge(ctx, sum, a, false); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// forTenant is a copy of the question that names the tenant wherever requests do.
func forTenant(q peer.Question, tenantID string) peer.Question {
	q.Tenant = tenantID
	if q.Search != nil {
		s := *q.Search
		s.Tenant, q.Search = tenantID, &s
	}
	if q.Metrics != nil {
		m := *q.Metrics
		m.Tenant, q.Metrics = tenantID, &m
	}
	return q
}
