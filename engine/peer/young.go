package peer

import (
	"context"
	"fmt"

	"github.com/ringctl/ringctl/engine/query"
)

// Opener opens the blocks of the bucket.
type Opener interface {
	Open(ctx context.Context, tenantID, id string) (query.Source, error)
}

// AnswerRecent is what a keeper answers: from its recent spans and the young
// blocks of the question, together. A block that cannot be opened is named in
// the answer.
func AnswerRecent(ctx context.Context, q *Question, recent []query.Source, blocks Opener, threads int) (*Answer, error) {
	var missing []string
	for _, id := range q.Young {
		b, err := blocks.Open(ctx, q.Tenant, id)
		if err != nil {
			missing = append(missing, fmt.Sprintf("block %s: %v", id, err))
			continue
		}
		recent = append(recent, b)
	}
	a, err := Evaluate(ctx, q, recent, threads)
	if err != nil {
		return nil, err
	}
	a.Missing = append(a.Missing, missing...)
	return a, nil
}
