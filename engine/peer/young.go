package peer

import (
	"context"
	"fmt"

	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
)

// Opener opens the blocks of the bucket.
type Opener interface {
	Open(ctx context.Context, tenantID, id string) (columnar.Source, error)
}

// AnswerRecent is what a keeper answers: from its recent spans and the young
// blocks of the question, together, and with the help of those at the border. A
// block that cannot be opened is named in the answer.
func AnswerRecent(ctx context.Context, q *Question, recent []columnar.Source, blocks Opener, threads int) (*Answer, error) {
	var o Opening
	young := query.SideOwn
	if q.Search != nil || q.Metrics != nil && q.Metrics.Held {
		young = query.SideYoung
	}
	recent = append(recent, o.Open(ctx, blocks, q.Tenant, q.Young, young)...)
	recent = append(recent, o.Open(ctx, blocks, q.Tenant, q.Border, query.SideHelp)...)
	a, err := Evaluate(ctx, q, recent, threads)
	if err != nil {
		return nil, err
	}
	a.Missing = append(a.Missing, o.Missing...)
	return a, nil
}

// Opening opens blocks and keeps account of those that cannot be opened.
type Opening struct {
	Missing []string
	Errs    []error
}

// Open opens blocks on one side of an evaluation.
func (o *Opening) Open(ctx context.Context, blocks Opener, tenantID string, ids []string, side query.Side) []columnar.Source {
	var out []columnar.Source
	for _, id := range ids {
		b, err := blocks.Open(ctx, tenantID, id)
		if err != nil {
			o.Missing = append(o.Missing, fmt.Sprintf("block %s: %v", id, status.Convert(err).Message()))
			o.Errs = append(o.Errs, err)
			continue
		}
		if side != query.SideOwn {
			b = query.WithSide(b, side)
		}
		out = append(out, b)
	}
	return out
}
