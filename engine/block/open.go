package block

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/trace"
)

// maxResources is the largest resources.parquet that is read.
const maxResources = 256 << 20

// OpenOptions says how a block is read. The zero value is right for a local
// folder.
type OpenOptions struct {
	// Meta saves reading meta.json when it is known already.
	Meta *Meta
	// Cache is shared between blocks; nil gives the block a small one of its own.
	Cache *Cache
	// FewReads says that a read is slow and bytes are cheap, as on object storage:
	// pages that are not wanted are read too when that saves requests.
	FewReads bool
}

// Block is an open block. It is a columnar.Source; its segments are its row groups.
// Safe for concurrent use. There is nothing to close.
type Block struct {
	meta     *Meta
	bucket   bucket.Bucket
	prefix   string
	few      bool
	cache    *Cache
	file     *pq.File
	tail     []byte
	tailAt   int64
	attrs    map[Attr]int
	fields   []columnar.Field
	strays   map[Attr]bool
	segments []columnar.Segment

	tables struct {
		sync.Mutex
		groups [2][]trace.Group
		tables [2]*columnar.Table
	}
}

// Path is the folder of a block in a bucket, with a slash at the end.
func Path(tenantID, id string) string { return tenantID + "/" + id + "/" }

// ReadMeta reads the meta.json of a block.
func ReadMeta(ctx context.Context, b bucket.Bucket, tenantID, id string) (*Meta, error) {
	raw, err := bucket.ReadAll(ctx, b, Path(tenantID, id)+MetaName, MaxMeta)
	if err != nil {
		return nil, fmt.Errorf("open block %s: %w", id, err)
	}
	m, err := ParseMeta(raw)
	if err == nil && (m.Tenant != tenantID || m.ID != id) {
		err = fmt.Errorf("it says block %s of tenant %s", m.ID, m.Tenant)
	}
	if err != nil {
		return nil, &CorruptError{Tenant: tenantID, Block: id, Part: MetaName, Err: err}
	}
	return m, nil
}

// Open reads a block's metadata: meta.json unless it is given, and the tail of
// data.parquet, with one request each. The error is a [*CorruptError] when the
// bytes are damaged, and wraps bucket.ErrNotFound when there is no such block.
func Open(ctx context.Context, b bucket.Bucket, tenantID, id string, o OpenOptions) (*Block, error) {
	if err := tenant.Valid(tenantID); err != nil {
		return nil, fmt.Errorf("open block %s: %w", id, err)
	}
	m := o.Meta
	if m == nil {
		var err error
		if m, err = ReadMeta(ctx, b, tenantID, id); err != nil {
			return nil, err
		}
	}
	if o.Cache == nil {
		o.Cache = NewCache(16 << 20)
	}
	bl := &Block{meta: m, bucket: b, prefix: Path(tenantID, id), few: o.FewReads, cache: o.Cache, fields: m.fields(), strays: m.strays(), tailAt: m.DataIndex}
	if m.DataBytes-m.DataIndex > pq.MaxFooter {
		return nil, bl.fault(DataName, fmt.Errorf("%w: metadata of %d bytes", pq.ErrDamaged, m.DataBytes-m.DataIndex))
	}
	bl.tail = make([]byte, m.DataBytes-m.DataIndex)
	if err := bl.readAt(ctx, DataName, bl.tail, m.DataIndex); err != nil {
		return nil, bl.fault(DataName, err)
	}
	f, need, err := pq.ParseTail(bl.tail, m.DataBytes)
	if err == nil && need > 0 {
		err = fmt.Errorf("%w: footer of %d bytes starts before the metadata", pq.ErrDamaged, need)
	}
	if err != nil {
		return nil, bl.fault(DataName, err)
	}
	bl.file = f
	return bl, bl.fault(DataName, bl.index())
}

// index checks the columns and makes the segments.
func (b *Block) index() error {
	f := b.file
	fixed := fixedLeaves()
	if len(f.Groups) != len(b.meta.Groups) || len(f.Leaves) < len(fixed) && len(f.Groups) > 0 {
		return fmt.Errorf("%w: %d row groups and %d columns, %s says %d groups", pq.ErrDamaged, len(f.Groups), len(f.Leaves), MetaName, len(b.meta.Groups))
	}
	for i := range fixed {
		if l := &f.Leaves[i]; l.Name != fixed[i].Name || l.Kind != fixed[i].Kind || l.List != fixed[i].List {
			return fmt.Errorf("%w: column %d is %s, not %s", pq.ErrDamaged, i, l.Name, fixed[i].Name)
		}
	}
	b.attrs = make(map[Attr]int, len(f.Leaves)-len(fixed))
	for i := len(fixed); i < len(f.Leaves); i++ {
		if a, ok := attrOf(&f.Leaves[i]); ok {
			b.attrs[a] = i
		}
	}
	for g := range f.Groups {
		m := &b.meta.Groups[g]
		if f.Groups[g].Rows != m.Rows {
			return fmt.Errorf("%w: row group %d has %d rows, %s says %d", pq.ErrDamaged, g, f.Groups[g].Rows, MetaName, m.Rows)
		}
		s := &segment{b: b, group: g, pages: make([]pageList, len(f.Leaves))}
		s.info = columnar.Info{Rows: m.Rows, Traces: m.Traces, Start: m.Start, End: m.End, MinID: trace.ID(m.Min), MaxID: trace.ID(m.Max),
			Unique: true, Bytes: m.Bytes, Fields: b.fields}
		b.segments = append(b.segments, s)
	}
	return nil
}

// readAt fills p; a file that ends early is damaged.
func (b *Block) readAt(ctx context.Context, object string, p []byte, off int64) error {
	n, err := b.bucket.ReadAt(ctx, b.prefix+object, p, off)
	columnar.MeterFrom(ctx).Add(int64(n))
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends at byte %d", pq.ErrDamaged, off+int64(n))
	}
	return err
}

// Meta returns the block's metadata; read-only.
func (b *Block) Meta() *Meta { return b.meta }

// Name implements columnar.Source: the block's id.
func (b *Block) Name() string { return b.meta.ID }

// Segments implements columnar.Source.
func (b *Block) Segments() []columnar.Segment { return b.segments }

// groups returns the resources (0) or scopes (1) of the block and their table.
func (b *Block) groups(ctx context.Context, which int) ([]trace.Group, *columnar.Table, error) {
	t := &b.tables
	t.Lock()
	defer t.Unlock()
	if t.tables[0] != nil {
		return t.groups[which], t.tables[which], nil
	}
	groups, err := b.readTables(ctx)
	if err != nil {
		return nil, nil, b.fault(ResourcesName, err)
	}
	var tables [2]*columnar.Table
	for k, scope := range []columnar.Scope{columnar.ScopeResource, columnar.ScopeInstrumentation} {
		if tables[k], err = columnar.NewTable(scope, groups[k]); err != nil {
			return nil, nil, b.fault(ResourcesName, fmt.Errorf("%w: %w", pq.ErrDamaged, err))
		}
	}
	t.groups, t.tables = groups, tables
	return groups[which], tables[which], nil
}

// readTables reads resources.parquet whole.
func (b *Block) readTables(ctx context.Context) (out [2][]trace.Group, err error) {
	size := b.meta.ResourcesBytes
	if size > maxResources {
		return out, fmt.Errorf("%w: %d bytes", pq.ErrDamaged, size)
	}
	raw := make([]byte, size)
	if err := b.readAt(ctx, ResourcesName, raw, 0); err != nil {
		return out, err
	}
	f, _, err := pq.ParseTail(raw, size)
	if err != nil {
		return out, err
	}
	want := resourceLeaves()
	if len(f.Leaves) != len(want) {
		return out, fmt.Errorf("%w: %d columns", pq.ErrDamaged, len(f.Leaves))
	}
	var cols [4][][]byte
	for g := range f.Groups {
		for i, n := range []int{resKind, resSchemaURL, resRaw, resUnknown} {
			if f.Leaves[n].Name != want[n].Name || f.Leaves[n].Kind != want[n].Kind || f.Leaves[n].Optional {
				return out, fmt.Errorf("%w: column %s", pq.ErrDamaged, f.Leaves[n].Name)
			}
			if cols[i], err = b.readStrings(f, raw, g, n); err != nil {
				return out, err
			}
		}
		for r := range cols[0] {
			k := 0
			if string(cols[0][r]) == "scope" {
				k = 1
			}
			out[k] = append(out[k], trace.Group{SchemaURL: cols[1][r], Raw: cols[2][r], Unknown: cols[3][r]})
		}
	}
	return out, nil
}

// readStrings decodes a required text column of a file in memory.
func (b *Block) readStrings(f *pq.File, raw []byte, g, n int) ([][]byte, error) {
	s, err := b.cache.borrow()
	if err != nil {
		return nil, err
	}
	defer b.cache.giveBack(s)
	c, leaf := &f.Groups[g].Chunks[n], &f.Leaves[n]
	pages, err := f.Pages(g, n, raw, 0)
	if err != nil {
		return nil, err
	}
	dict := new(pq.Dict)
	if c.HasDict() {
		if dict, err = s.dec.Dict(leaf.Kind, c, raw[c.Start:c.End]); err != nil {
			return nil, err
		}
	}
	var v pq.Values
	for _, p := range pages {
		if err := s.dec.Page(&v, leaf, c, p, raw[p.At:p.At+int64(p.Size)], dict.Len()); err != nil {
			return nil, err
		}
	}
	out := make([][]byte, 0, v.Count)
	for _, k := range v.Codes {
		out = append(out, dict.Entry(int(k-1)))
	}
	for i := range v.Plain.Len() {
		out = append(out, v.Plain.Entry(i))
	}
	if len(out) != f.Groups[g].Rows {
		return nil, fmt.Errorf("%w: %d values in %d rows", pq.ErrDamaged, len(out), f.Groups[g].Rows)
	}
	return out, nil
}

// CorruptError says that the bytes of a block are not what was written: damaged,
// torn, or another program's. Only this block is affected.
type CorruptError struct {
	Tenant, Block string
	Part          string // which object, row group and column
	Err           error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("block %s of tenant %s is damaged: %s: %v", e.Block, e.Tenant, e.Part, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// fault names the block in an error; faults of the format become CorruptError.
func (b *Block) fault(part string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pq.ErrDamaged) {
		return &CorruptError{Tenant: b.meta.Tenant, Block: b.meta.ID, Part: part, Err: err}
	}
	return fmt.Errorf("block %s: %s: %w", b.meta.ID, part, err)
}
