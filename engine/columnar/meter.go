package columnar

import (
	"context"
	"sync/atomic"
)

// Meter counts what the segments read for one query. Safe for concurrent use; a nil Meter counts nothing.
type Meter struct {
	bytes, reads atomic.Int64
}

type meterKey struct{}

// WithMeter is a context whose reads are counted in m.
func WithMeter(ctx context.Context, m *Meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

// MeterFrom is the meter of ctx, or nil.
func MeterFrom(ctx context.Context) *Meter {
	m, _ := ctx.Value(meterKey{}).(*Meter)
	return m
}

// Add counts one read of n stored bytes.
func (m *Meter) Add(n int64) {
	if m == nil {
		return
	}
	m.bytes.Add(n)
	m.reads.Add(1)
}

// Total is what was counted so far.
func (m *Meter) Total() (bytes, reads int64) {
	if m == nil {
		return 0, 0
	}
	return m.bytes.Load(), m.reads.Load()
}
