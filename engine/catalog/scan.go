package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/tenant"
)

// readers is how many meta.json objects are read at once.
const readers = 8

// Holding is what a bucket holds of one tenant.
type Holding struct {
	Blocks     []Stored     // complete blocks, by id
	Damaged    []Damaged    // blocks that cannot be read, by id
	Unfinished []Unfinished // folders without a meta.json, by id
	// Unread is set when some meta.json could not be fetched for now: the holding
	// is not all there is.
	Unread error
}

// Metas lists the complete blocks.
func (h *Holding) Metas() []*block.Meta {
	out := make([]*block.Meta, len(h.Blocks))
	for i := range h.Blocks {
		out[i] = h.Blocks[i].Meta
	}
	return out
}

// Stored is a complete block. Groups and Fields of its meta are left out, which
// are most of its size: [block.Open] reads them.
type Stored struct {
	Meta     *block.Meta
	Modified time.Time // when its meta.json was written, by the store's clock
}

// Damaged is a block whose meta.json makes no sense, or contradicts the objects
// beside it.
type Damaged struct {
	ID       block.ID
	Modified time.Time
	Err      error
}

// Unfinished is a folder without a meta.json: an upload or a deletion that is
// under way, or died.
type Unfinished struct {
	ID       block.ID
	Modified time.Time // of its newest object
}

// Scanner finds the blocks of a bucket by listing it, and remembers those it has
// read. It is for one goroutine.
type Scanner struct {
	b       bucket.Bucket
	known   map[string]map[block.ID]*record
	indexes []string // tenants with an index object
}

// NewScanner makes a scanner that knows nothing yet.
func NewScanner(b bucket.Bucket) *Scanner {
	return &Scanner{b: b, known: map[string]map[block.ID]*record{}}
}

// record is a block as it was listed, and what its meta.json said.
type record struct {
	objects   [3]bucket.Object // data, resources, meta; empty names are missing
	meta      *block.Meta
	err       error // damage
	transient bool  // err says nothing about the block
	learned   bool  // meta comes from an index
}

var objectNames = [3]string{block.DataName, block.ResourcesName, block.MetaName}

const metaObject = 2

// Learn reads the indexes, so that the blocks in them need not be read one by
// one. An index that cannot be used is left out.
func (s *Scanner) Learn(ctx context.Context) error {
	var tenants []string
	err := s.b.List(ctx, IndexPrefix, func(o bucket.Object) error {
		if t, ok := indexTenant(o.Name); ok {
			tenants = append(tenants, t)
		}
		return nil
	})
	for _, t := range tenants {
		if x, err := ReadIndex(ctx, s.b, t); err == nil {
			s.learn(t, x.Blocks)
		}
	}
	return err
}

// Indexes lists the tenants that had an index object in the last scan of all.
func (s *Scanner) Indexes() []string { return s.indexes }

// learn takes over the metas of an index, so that they need not be read again,
// and returns them, each block's always at the same address.
func (s *Scanner) learn(tenantID string, metas []*block.Meta) []*block.Meta {
	if s.known[tenantID] == nil {
		s.known[tenantID] = make(map[block.ID]*record, len(metas))
	}
	for i, m := range metas {
		if r := s.known[tenantID][m.ID]; r != nil && r.meta != nil {
			metas[i] = r.meta
		} else {
			s.known[tenantID][m.ID] = &record{meta: m, learned: true}
		}
	}
	return metas
}

// Scan lists all tenants, or one unless it is "", and reads what is new. The
// error is that of the listing; what a single block has is in the holdings.
func (s *Scanner) Scan(ctx context.Context, tenantID string) (map[string]*Holding, error) {
	prefix := ""
	if tenantID != "" {
		prefix = tenantID + "/"
	}
	found := map[string]map[block.ID]*record{}
	var indexes []string
	err := s.b.List(ctx, prefix, func(o bucket.Object) error {
		if t, ok := indexTenant(o.Name); ok {
			indexes = append(indexes, t)
		}
		t, id, n, ok := splitName(o.Name)
		if !ok {
			return nil
		}
		if found[t] == nil {
			found[t] = map[block.ID]*record{}
		}
		r := found[t][id]
		if r == nil {
			r = new(record)
			found[t][id] = r
		}
		r.objects[n] = o
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	if tenantID == "" {
		s.indexes = indexes
	}
	s.remember(found, tenantID)
	if err := s.readNew(ctx); err != nil {
		return nil, err
	}
	out := make(map[string]*Holding, len(found))
	for t := range found {
		out[t] = holding(s.known[t])
	}
	return out, nil
}

// splitName takes the name of an object of a block apart; n is its place in
// objectNames.
func splitName(name string) (tenantID string, id block.ID, n int, ok bool) {
	tenantID, rest, ok := strings.Cut(name, "/")
	if !ok || tenant.Valid(tenantID) != nil {
		return "", "", 0, false
	}
	id, object, ok := strings.Cut(rest, "/")
	if n = slices.Index(objectNames[:], object); !ok || n < 0 || len(id) != 36 || uuid.Validate(id) != nil {
		return "", "", 0, false
	}
	return tenantID, id, n, true
}

// remember replaces what was known of the listed tenants, keeping what was read
// of blocks that did not change.
func (s *Scanner) remember(found map[string]map[block.ID]*record, tenantID string) {
	for t, blocks := range found {
		for id, r := range blocks {
			if old := s.known[t][id]; old != nil && old.same(r) {
				r.meta, r.err = old.meta, old.err
			}
		}
	}
	if tenantID == "" {
		s.known = found
	} else if found[tenantID] == nil {
		delete(s.known, tenantID)
	} else {
		s.known[tenantID] = found[tenantID]
	}
}

// same tells whether a block that was read need not be read again.
func (r *record) same(now *record) bool {
	a, b := &r.objects[metaObject], &now.objects[metaObject]
	if r.learned {
		return b.Name != ""
	}
	return !r.transient && a.Name == b.Name && a.Size == b.Size && a.Modified.Equal(b.Modified)
}

// readNew reads the meta.json objects that were not read yet, several at once.
func (s *Scanner) readNew(ctx context.Context) error {
	type job struct {
		tenant string
		id     block.ID
		r      *record
	}
	var jobs []job
	for t, blocks := range s.known {
		for id, r := range blocks {
			if r.objects[metaObject].Name != "" && r.meta == nil && r.err == nil {
				jobs = append(jobs, job{t, id, r})
			}
		}
	}
	slices.SortFunc(jobs, func(a, b job) int { return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.id, b.id)) })
	next := make(chan job)
	var wg sync.WaitGroup
	for range min(readers, len(jobs)) {
		wg.Go(func() {
			for j := range next {
				j.r.read(ctx, s.b, j.tenant, j.id)
			}
		})
	}
	for _, j := range jobs {
		next <- j
	}
	close(next)
	wg.Wait()
	return ctx.Err()
}

// read fetches the meta.json of one block.
func (r *record) read(ctx context.Context, b bucket.Bucket, tenantID string, id block.ID) {
	m, err := block.ReadMeta(ctx, b, tenantID, id)
	if err != nil {
		var damage *block.CorruptError
		r.err, r.transient = err, !errors.As(err, &damage)
		return
	}
	r.meta = light(m)
}

// light is a meta without what only an open block needs.
func light(m *block.Meta) *block.Meta {
	m.Groups, m.Fields = nil, nil
	return m
}

// fault says what is wrong with a complete-looking block, given its objects.
func (r *record) fault() error {
	if r.err != nil {
		return r.err
	}
	for n, want := range []int64{r.meta.DataBytes, r.meta.ResourcesBytes} {
		if o := &r.objects[n]; o.Name == "" {
			return fmt.Errorf("%s is missing", objectNames[n])
		} else if o.Size != want {
			return fmt.Errorf("%s has %d bytes, %s says %d", objectNames[n], o.Size, block.MetaName, want)
		}
	}
	return nil
}

func holding(blocks map[block.ID]*record) *Holding {
	h := new(Holding)
	for _, id := range slices.Sorted(maps.Keys(blocks)) {
		r := blocks[id]
		modified := r.objects[metaObject].Modified
		if r.objects[metaObject].Name == "" {
			for _, o := range r.objects {
				if o.Modified.After(modified) {
					modified = o.Modified
				}
			}
			h.Unfinished = append(h.Unfinished, Unfinished{id, modified})
		} else if r.transient {
			if !errors.Is(r.err, bucket.ErrNotFound) { // deleted between listing and reading
				h.Unread = r.err
			}
		} else if err := r.fault(); err != nil {
			h.Damaged = append(h.Damaged, Damaged{id, modified, err})
		} else {
			h.Blocks = append(h.Blocks, Stored{r.meta, modified})
		}
	}
	return h
}
