package block

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
)

// Sizes of row groups. A trace lookup reads one row group whole, so 65,536 rows
// of about 40 bytes stay well under 4 MB; the size matters little to anything
// else.
const (
	// GroupRows is the number of rows after which a row group ends.
	GroupRows = 65536
)

// WriterOptions says how blocks are written.
type WriterOptions struct {
	// Level is the zstd level: 1 (the default) for blocks that are merged soon,
	// 3 for those that stay.
	Level int
	// GroupRows is the number of rows after which a row group ends; 0 means the
	// constant of that name.
	GroupRows int
	// Blooms adds bloom filters to columns of ids.
	Blooms bool
}

// Writer writes blocks. It is for one goroutine and keeps its memory between
// blocks: a few tens of megabytes.
type Writer struct {
	o      WriterOptions
	enc    *pq.Encoder
	dec    *pq.Decoder
	gather gatherer
	lists  listGatherer
	stripe stripe
	sorter sorter
	forest forest
	over   overflow
	ids    pq.Dict
	words  pq.Interner
	fields FieldSet
	remap  []uint32
}

// NewWriter makes a writer.
func NewWriter(o WriterOptions) (*Writer, error) {
	if o.Level == 0 {
		o.Level = 1
	}
	if o.GroupRows == 0 {
		o.GroupRows = GroupRows
	}
	enc, err := pq.NewEncoder(o.Level)
	if err != nil {
		return nil, err
	}
	dec, err := pq.NewDecoder()
	if err != nil {
		return nil, err
	}
	return &Writer{o: o, enc: enc, dec: dec}, nil
}

// Close frees the writer's memory.
func (w *Writer) Close() error { return w.enc.Close() }

// output is a block on its way to a local folder.
type output struct {
	dir  string
	data *os.File
	buf  *bufio.Writer
	pq   *pq.Writer
	schema
	meta Meta
}

// create starts a block in dir, which must not exist yet.
func (w *Writer) create(dir string, m Meta) (*output, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("create block: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create block: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, DataName))
	if err != nil {
		return nil, fmt.Errorf("create block: %w", err)
	}
	o := &output{dir: dir, data: f, buf: bufio.NewWriterSize(f, 256<<10), meta: m}
	o.pq = pq.NewWriter(o.buf, w.enc)
	o.schema = *newSchema(o.pq, w.o.Blooms)
	return o, nil
}

// abort removes what was written.
func (o *output) abort() {
	_ = o.data.Close()
	_ = os.RemoveAll(o.dir)
}

// addGroups writes the groups of a finished stripe.
func (o *output) addGroups(s *stripe, groups []Group) error {
	for g := range groups {
		groups[g].Bytes = int64(s.groups[g].Size())
		if err := o.pq.AddGroup(&s.groups[g]); err != nil {
			return err
		}
	}
	o.meta.Groups = append(o.meta.Groups, groups...)
	return nil
}

// finish closes the files, writes meta.json last and makes everything durable.
func (o *output) finish(w *Writer, tables *tables, fields []Field) (*Meta, error) {
	tail, err := o.pq.Close()
	if err == nil {
		err = o.buf.Flush()
	}
	if err == nil {
		err = o.data.Sync()
	}
	if err2 := o.data.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", DataName, err)
	}
	m := &o.meta
	m.Version, m.DataBytes, m.DataIndex, m.Fields = o.version(), tail.Size, tail.Index, fields
	m.summarise()
	if m.ResourcesBytes, err = tables.write(filepath.Join(o.dir, ResourcesName), w.enc); err != nil {
		return nil, err
	}
	b, err := m.Encode()
	if err != nil {
		return nil, err
	}
	if err := writeSynced(filepath.Join(o.dir, MetaName), b); err != nil {
		return nil, err
	}
	return m, syncDir(o.dir)
}

// version is the format version that a reader must know. A build that knows no
// columns of arrays would leave the arrays out of its answers.
func (o *output) version() int {
	for a := range o.attrs {
		if a.Type&columnar.Array != 0 {
			return Version
		}
	}
	return versionPlain
}

// summarise fills the totals from the row groups.
func (m *Meta) summarise() {
	var start, end int64
	for i, g := range m.Groups {
		if i == 0 {
			start, end, m.MinTrace = g.Start, g.End, g.Min
		}
		start, end, m.MaxTrace = min(start, g.Start), max(end, g.End), g.Max
		m.Spans += int64(g.Rows)
		m.Traces += int64(g.Traces)
	}
	m.Start, m.End = time.Unix(0, start).UTC(), time.Unix(0, end).UTC()
}

func writeSynced(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write block: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return fmt.Errorf("write block: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync block folder: %w", err)
	}
	err = d.Sync()
	if err2 := d.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return fmt.Errorf("sync block folder: %w", err)
	}
	return nil
}

// codeColumn is a gathered column of codes; hardly repeating values are written
// plain.
func (w *Writer) codeColumn(d *pq.Dict, plain bool) *Column {
	c := w.gather.finishCodes(d)
	c.Plain = plain || hardlyRepeat(d, w.gather.n)
	return c
}

// hardlyRepeat tells whether more than 3 in 5 of n values are distinct.
func hardlyRepeat(d *pq.Dict, n int) bool {
	return d.Len() > 1024 && n > 1024 && d.Len()*5 > n*3
}
