package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Bounds is the memory of the queries of a process: of all together, of those of each tenant, and of each one.
type Bounds struct {
	All     *Budget       // of all queries together; nil = no bound
	Tenants *Tenants      // of the queries of a tenant; nil = no bound
	Query   int64         // bytes of one query; 0 = no bound
	Key     string        // name of Query in the configuration
	Refused *atomic.Int64 // counts queries over their own bound; may be nil
}

// Begin gives ctx the budget of one query about the spans of tenants. The caller releases it when the query is over.
func (b Bounds) Begin(ctx context.Context, tenants ...string) (context.Context, *Budget) {
	own := newBudget(b.Query, func(most int64) error { return tooLarge(most, b.Key) })
	own.count = b.Refused
	if b.Tenants != nil {
		b.Tenants.begin(own, tenants)
	}
	own.wholes = append(own.wholes, b.All)
	return WithBudget(ctx, own), own
}

// Tenants is the memory of the queries of each tenant that has some under way. Safe for concurrent use.
type Tenants struct {
	most func(tenant string) int64
	key  string

	refused atomic.Int64
	mu      sync.Mutex
	held    map[string]*tenantBudget
}

type tenantBudget struct {
	*Budget
	queries int // under way
}

// NewTenants bounds the memory of the queries of each tenant to what most says when one begins, in bytes; 0 is no bound.
// key says where the bound is set, for errors.
func NewTenants(most func(tenant string) int64, key string) *Tenants {
	return &Tenants{most: most, key: key, held: make(map[string]*tenantBudget)}
}

// begin makes the tenants' budgets wholes of a query, until it is released.
func (t *Tenants) begin(query *Budget, tenants []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range tenants {
		most := t.most(id)
		h := t.held[id]
		if h == nil {
			h = &tenantBudget{Budget: newBudget(most, func(most int64) error {
				return &BusyError{fmt.Sprintf("the queries of tenant %q together need more than %s (%s); ask again when some of them are answered, or for less", id, mebibytes(most), t.key)}
			})}
			h.count = &t.refused
			t.held[id] = h
		}
		h.max.Store(most)
		h.queries++
		query.wholes = append(query.wholes, h.Budget)
		if have := query.Most(); most > 0 && (have == 0 || most < have) { // later it would be no less too large
			query.max.Store(most)
			query.over = func(most int64) error {
				return tooLarge(most, fmt.Sprintf("all that tenant %q has for its queries: %s", id, t.key))
			}
		}
	}
	query.end = func() { t.leave(tenants) }
}

func (t *Tenants) leave(tenants []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range tenants {
		if h := t.held[id]; h != nil {
			if h.queries--; h.queries == 0 {
				delete(t.held, id)
			}
		}
	}
}

// Refused is how often a query was refused memory because others of its tenant had it.
func (t *Tenants) Refused() int64 {
	if t == nil {
		return 0
	}
	return t.refused.Load()
}

// TenantUse is what the queries of a tenant hold.
type TenantUse struct {
	Tenant  string
	Queries int
	Bytes   int64
}

// Use lists the tenants that have queries under way, by name.
func (t *Tenants) Use() []TenantUse {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]TenantUse, 0, len(t.held))
	for id, h := range t.held {
		list = append(list, TenantUse{id, h.queries, h.Used()})
	}
	slices.SortFunc(list, func(a, b TenantUse) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return list
}
