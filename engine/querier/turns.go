package querier

import (
	"context"
	"slices"
	"sync"
)

// turns lets some pieces be answered at once. The others wait: those of one
// tenant in line, and the tenants take turns, so that one with many questions
// does not hold up the rest. Safe for concurrent use.
type turns struct {
	mu    sync.Mutex
	free  int
	most  int                        // of one tenant at once
	held  map[string]int             // by tenant
	lines map[string][]chan struct{} // of those that wait, by tenant
	order []string                   // of the lines, the one whose turn is next first
}

func newTurns(all, perTenant int) *turns {
	all = max(1, all)
	if perTenant <= 0 {
		perTenant = all
	}
	return &turns{free: all, most: perTenant, held: map[string]int{}, lines: map[string][]chan struct{}{}}
}

// take waits for a turn. The error is the end of ctx.
func (t *turns) take(ctx context.Context, tenantID string) error {
	turn := t.ask(tenantID)
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.lines[tenantID], turn); i >= 0 {
		t.keep(tenantID, slices.Delete(t.lines[tenantID], i, i+1))
	} else { // it came at the same moment
		t.give(tenantID)
	}
	return ctx.Err()
}

// ask joins the line; what it returns is closed when it is one's turn.
func (t *turns) ask(tenantID string) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn := make(chan struct{})
	if len(t.lines[tenantID]) == 0 {
		t.order = append(t.order, tenantID)
	}
	t.lines[tenantID] = append(t.lines[tenantID], turn)
	t.next()
	return turn
}

// put ends a turn.
func (t *turns) put(tenantID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.give(tenantID)
}

func (t *turns) give(tenantID string) {
	t.free++
	if t.held[tenantID]--; t.held[tenantID] == 0 {
		delete(t.held, tenantID)
	}
	t.next()
}

// next lets those in whose turn it is.
func (t *turns) next() {
	for t.free > 0 {
		i := slices.IndexFunc(t.order, func(id string) bool { return t.held[id] < t.most })
		if i < 0 {
			return
		}
		id := t.order[i]
		line := t.lines[id]
		close(line[0])
		t.free--
		t.held[id]++
		t.order = append(slices.Delete(t.order, i, i+1), id)
		t.keep(id, line[1:])
	}
}

// keep is the line of a tenant from now on.
func (t *turns) keep(id string, line []chan struct{}) {
	if len(line) > 0 {
		t.lines[id] = line
		return
	}
	delete(t.lines, id)
	t.order = slices.DeleteFunc(t.order, func(x string) bool { return x == id })
}
