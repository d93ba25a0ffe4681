package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer/peerpb"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// Question is one question about spans. Exactly one of Trace, Search, Metrics,
// Tags and Values is set.
type Question struct {
	Tenant  string
	Trace   *trace.ID
	Search  *query.SearchRequest
	Metrics *query.MetricsRequest
	Tags    *query.TagsRequest
	Values  *query.TagValuesRequest
	// Without names blocks whose spans the keepers leave out: somebody else reads
	// them, or the keepers do because they are in Young.
	Without []string
	// Young names blocks that are young enough for keepers to hold copies of their
	// spans. Who counts each span once reads both together.
	Young []string
	// Whole says that every trace must be looked at whole, in one place.
	Whole bool
	// Border names the blocks just older than the young ones, of a question about
	// whole traces: the traces that lie in both are answered by the keepers.
	Border []string
}

// Once reports a question for which the young blocks are read by the keepers,
// every trace of them by one. Metrics count each span at that keeper only; of a
// search all keepers are asked, each for whatever it holds.
func (q *Question) Once() bool { return q.Metrics != nil || q.Whole }

// WithTokens is the question to the keeper that answers for these tokens; nil is
// all.
func (q *Question) WithTokens(tokens []query.TokenRange) *Question {
	part := *q
	if q.Metrics != nil {
		m := *q.Metrics
		m.Tokens, part.Metrics = tokens, &m
	}
	if q.Search != nil {
		s := *q.Search
		s.Young, part.Search = tokens, &s
	}
	return &part
}

// WithHeld is the question to a keeper that counts what it holds whatever its
// tokens, unless a young block has it; see query.MetricsRequest.
func (q *Question) WithHeld() *Question {
	part := *q
	if q.Metrics != nil {
		m := *q.Metrics
		m.Held, part.Metrics = true, &m
	}
	return &part
}

// WithIDs is the question about the traces with these ids; nil is all.
func (q *Question) WithIDs(ids []query.IDRange) *Question {
	part := *q
	if q.Metrics != nil {
		m := *q.Metrics
		m.IDs, part.Metrics = ids, &m
	}
	if q.Search != nil {
		s := *q.Search
		s.IDs, part.Search = ids, &s
	}
	return &part
}

// Piece is the part of a question that one querier answers.
type Piece struct {
	Question
	Recent bool     // ask the keepers
	Blocks []string // ids of the blocks to read
}

// Answer is the answer to a question, or a part of it: the field of the same
// name as the question's is set.
type Answer struct {
	Trace   []byte // OTLP TracesData; empty when nothing was found
	Search  *query.SearchResult
	Metrics *query.MetricsResult
	Tags    *query.TagsResult
	Values  *query.TagValuesResult
	Missing []string // what could not be asked, and why
	// Behind is for how long the keeper may still lack spans that those with copies
	// of its spans have, because it was down.
	Behind time.Duration
}

// Nothing is the answer of those who have nothing.
func (q *Question) Nothing() *Answer {
	switch {
	case q.Search != nil:
		return &Answer{Search: new(query.SearchResult)}
	case q.Metrics != nil:
		return &Answer{Metrics: new(query.MetricsResult)}
	case q.Tags != nil:
		return &Answer{Tags: new(query.TagsResult)}
	case q.Values != nil:
		return &Answer{Values: new(query.TagValuesResult)}
	}
	return &Answer{}
}

// Excluded is a function that says whether a block is named in Without.
func (q *Question) Excluded() func(id string) bool {
	ids := make(map[string]struct{}, len(q.Without))
	for _, id := range q.Without {
		ids[id] = struct{}{}
	}
	return func(id string) bool { _, ok := ids[id]; return ok }
}

// request encodes a question for the wire.
func (q *Question) request(role Role) (*peerpb.AskRequest, error) {
	r := &peerpb.AskRequest{Role: role, Tenant: q.Tenant, WithoutBlocks: q.Without, YoungBlocks: q.Young,
		BorderBlocks: q.Border, WholeTraces: q.Whole}
	var err error
	encode := func(v any) []byte {
		var b []byte
		b, err = json.Marshal(v)
		return b
	}
	switch {
	case q.Trace != nil:
		r.Question = &peerpb.AskRequest_TraceId{TraceId: q.Trace[:]}
	case q.Search != nil:
		r.Question = &peerpb.AskRequest_Search{Search: encode(q.Search)}
	case q.Metrics != nil:
		r.Question = &peerpb.AskRequest_Metrics{Metrics: encode(q.Metrics)}
	case q.Tags != nil:
		r.Question = &peerpb.AskRequest_Tags{Tags: encode(q.Tags)}
	case q.Values != nil:
		r.Question = &peerpb.AskRequest_TagValues{TagValues: encode(q.Values)}
	}
	return r, err
}

// parseRequest is the reverse of request. Its errors are InvalidArgument.
func parseRequest(r *peerpb.AskRequest) (Question, error) {
	q := Question{Tenant: r.GetTenant(), Without: r.GetWithoutBlocks(), Young: r.GetYoungBlocks(),
		Border: r.GetBorderBlocks(), Whole: r.GetWholeTraces()}
	var err error
	switch x := r.GetQuestion().(type) {
	case *peerpb.AskRequest_TraceId:
		if len(x.TraceId) != len(trace.ID{}) {
			return q, status.Errorf(codes.InvalidArgument, "trace id of %d bytes", len(x.TraceId))
		}
		id := trace.ID(x.TraceId)
		q.Trace = &id
	case *peerpb.AskRequest_Search:
		q.Search, err = decode[query.SearchRequest](x.Search)
	case *peerpb.AskRequest_Metrics:
		q.Metrics, err = decode[query.MetricsRequest](x.Metrics)
	case *peerpb.AskRequest_Tags:
		q.Tags, err = decode[query.TagsRequest](x.Tags)
	case *peerpb.AskRequest_TagValues:
		q.Values, err = decode[query.TagValuesRequest](x.TagValues)
	default:
		err = status.Error(codes.InvalidArgument, "a question of a kind that this node does not know; it may be older than the asker")
	}
	return q, err
}

func decode[T any](b []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "question: %v", err)
	}
	return v, nil
}

// reply encodes an answer for the wire.
func (a *Answer) reply() (*peerpb.AskReply, error) {
	r := &peerpb.AskReply{Missing: a.Missing, BehindMillis: a.Behind.Milliseconds()}
	var err error
	switch {
	case a.Search != nil:
		r.Answer, err = a.Search.MarshalBinary()
	case a.Metrics != nil:
		r.Answer, err = a.Metrics.MarshalBinary()
	case a.Tags != nil:
		r.Answer, err = a.Tags.MarshalBinary()
	case a.Values != nil:
		r.Answer, err = a.Values.MarshalBinary()
	default:
		r.Answer = a.Trace
	}
	return r, err
}

// maxBehind bounds what a reply says about it, in ms: no keeper needs a day.
const maxBehind = 24 * 60 * 60 * 1000

// parseReply is the reverse of reply, for the answer to q.
func (q *Question) parseReply(r *peerpb.AskReply) (*Answer, error) {
	a := &Answer{Missing: r.GetMissing(), Behind: time.Duration(min(max(0, r.GetBehindMillis()), maxBehind)) * time.Millisecond}
	var err error
	switch {
	case q.Search != nil:
		a.Search = new(query.SearchResult)
		err = a.Search.UnmarshalBinary(r.GetAnswer())
	case q.Metrics != nil:
		a.Metrics = new(query.MetricsResult)
		err = a.Metrics.UnmarshalBinary(r.GetAnswer())
	case q.Tags != nil:
		a.Tags = new(query.TagsResult)
		err = a.Tags.UnmarshalBinary(r.GetAnswer())
	case q.Values != nil:
		a.Values = new(query.TagValuesResult)
		err = a.Values.UnmarshalBinary(r.GetAnswer())
	default:
		a.Trace = r.GetAnswer()
	}
	if err != nil {
		return nil, fmt.Errorf("answer cannot be read: %w", err)
	}
	return a, nil
}

// received is parseReply with its memory taken from the budget of ctx until the
// question is over.
func (q *Question) received(ctx context.Context, r *peerpb.AskReply) (*Answer, error) {
	held := query.BudgetFrom(ctx).Part()
	wire := int64(len(r.GetAnswer()))
	if err := held.Take(wire); err != nil {
		return nil, StatusOf(err)
	}
	a, err := q.parseReply(r)
	if err != nil {
		return nil, err
	}
	if err := held.Set(max(wire, a.size())); err != nil {
		return nil, StatusOf(err)
	}
	return a, nil
}

// send is reply with its memory taken from mem.
func (a *Answer) send(mem *query.Budget) (*peerpb.AskReply, error) {
	if err := mem.Take(a.size()); err != nil {
		return nil, StatusOf(err)
	}
	return a.reply()
}

// size is about the memory of what grows with the data.
func (a *Answer) size() int64 {
	n := int64(len(a.Trace))
	if a.Search != nil {
		n += a.Search.Size()
	}
	if a.Metrics != nil {
		n += a.Metrics.Size()
	}
	if a.Values != nil {
		n += a.Values.Size()
	}
	return n
}
