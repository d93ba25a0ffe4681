package query

import "github.com/ringctl/ringctl/engine/columnar"

// summary is the trace-level values of a segment's traces: from stored columns, or computed from the rows.
type summary struct {
	startCol, endCol, nameCol, serviceCol *columnar.Vector // stored
	starts, ends                          []int64          // computed
	roots                                 []int32          // row of the root, -1 = none
	names                                 *columnar.Vector
	services                              [][]byte // per resource
	resource                              *columnar.Vector
}

// summaries reads the trace columns for the traces (nil = all), or computes all of it when one is missing.
func (s *scan) summaries(traces columnar.Bitmap) (*summary, error) {
	if s.sum != nil {
		return s.sum, nil
	}
	sum := &summary{}
	for _, part := range [...]struct {
		key string
		dst **columnar.Vector
	}{{columnar.KeyTraceStart, &sum.startCol}, {columnar.KeyTraceEnd, &sum.endCol}, {columnar.KeyTraceRootName, &sum.nameCol}, {columnar.KeyTraceRootService, &sum.serviceCol}} {
		c := s.columns(columnar.ScopeTrace, part.key)
		if len(c.cols) == 0 {
			sum = &summary{}
			break
		}
		v, err := s.read(c, 0, traces)
		if err != nil {
			return nil, err
		}
		*part.dst = v
	}
	if sum.serviceCol != nil {
		return sum, nil
	}
	if err := s.computeSummaries(sum, traces); err != nil {
		return nil, err
	}
	if traces == nil {
		s.sum = sum
	}
	return sum, nil
}

func (s *scan) computeSummaries(sum *summary, traces columnar.Bitmap) error {
	t, err := s.loadTraces()
	if err != nil {
		return err
	}
	var rows columnar.Bitmap
	if traces != nil {
		if rows, err = s.rowsOf(traces); err != nil {
			return err
		}
	}
	var start, duration, parent *columnar.Vector
	for _, part := range [...]struct {
		key string
		dst **columnar.Vector
	}{{columnar.KeyStart, &start}, {columnar.KeyDuration, &duration}, {columnar.KeyParentID, &parent}, {columnar.KeyName, &sum.names}, {columnar.KeyResource, &sum.resource}} {
		if *part.dst, err = s.intrinsic(part.key, rows); err != nil {
			return err
		}
	}
	if sum.services, err = s.serviceNames(); err != nil {
		return err
	}
	n := len(t.IDs)
	sum.starts, sum.ends, sum.roots = make([]int64, n), make([]int64, n), make([]int32, n)
	for i := range n {
		if traces != nil && !traces.Has(uint32(i)) {
			continue
		}
		if err := s.step(); err != nil {
			return err
		}
		sum.roots[i] = -1
		first, rootStart := true, int64(0)
		for k := t.Offsets[i]; k < t.Offsets[i+1]; k++ {
			row := k
			if t.Perm != nil {
				row = t.Perm[k]
			}
			if !s.rows().Has(row) {
				continue
			}
			from := start.Int(row)
			to := from + duration.Int(row)
			if first || from < sum.starts[i] {
				sum.starts[i] = from
			}
			if first || to > sum.ends[i] {
				sum.ends[i] = to
			}
			first = false
			if parent.Int(row) == 0 && (sum.roots[i] < 0 || from < rootStart) {
				sum.roots[i], rootStart = int32(row), from
			}
		}
	}
	return nil
}

// serviceNames is the service.name of every resource of the table; nil where it is not a string.
func (s *scan) serviceNames() ([][]byte, error) {
	t, err := s.table(columnar.ScopeResource)
	if err != nil {
		return nil, err
	}
	if s.services != nil {
		return s.services, nil
	}
	names := make([][]byte, t.Len())
	for i := range names {
		names[i] = t.Service(i)
	}
	s.services = names
	return names, nil
}

func (m *summary) start(t uint32) int64 {
	if m.startCol != nil {
		return m.startCol.Int(t)
	}
	return m.starts[t]
}

func (m *summary) end(t uint32) int64 {
	if m.endCol != nil {
		return m.endCol.Int(t)
	}
	return m.ends[t]
}

// rootName is nil when the trace has no root here.
func (m *summary) rootName(t uint32) []byte {
	if m.nameCol != nil {
		return m.nameCol.Text(t)
	}
	if m.roots[t] < 0 {
		return nil
	}
	return orEmpty(m.names.Text(uint32(m.roots[t])))
}

func (m *summary) rootService(t uint32) []byte {
	if m.serviceCol != nil {
		return m.serviceCol.Text(t)
	}
	if m.roots[t] < 0 {
		return nil
	}
	return orEmpty(m.services[m.resource.Codes[m.roots[t]]])
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
