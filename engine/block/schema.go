package block

import (
	"strings"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/columnar"
)

// spanPrefix starts the names of attribute columns.
const spanPrefix = "span."

// Which attributes get a column of their own. A column costs about 250 bytes of
// metadata in each row group, so below 1 value in 2048 rows (64 in a row group of
// 131 k) the overflow column is smaller; and with 5000 columns opening a file
// takes 16 ms instead of 0.3, so the most frequent maxColumns keep theirs.
const (
	columnShare = 2048
	maxColumns  = 400
)

// worthColumn tells whether n values in rows rows deserve a column.
func worthColumn(n, rows int) bool { return n > 0 && n*columnShare >= rows }

// schema is the list of columns of a block being written.
type schema struct {
	w     *pq.Writer
	attrs map[Attr]int
	names map[string]bool
	bloom bool
}

func newSchema(w *pq.Writer, bloom bool) *schema {
	s := &schema{w: w, attrs: map[Attr]int{}, names: map[string]bool{}, bloom: bloom}
	for _, l := range fixedLeaves() {
		w.AddLeaf(l)
		s.names[strings.ToLower(l.Name)] = true
	}
	return s
}

// attr returns the column of an attribute, adding it when it is new.
func (s *schema) attr(a Attr) int {
	if n, ok := s.attrs[a]; ok {
		return n
	}
	name, list := spanPrefix+a.Key, ""
	if a.Type&columnar.Array != 0 {
		list = pq.Element
	}
	suffix := "#" + typeName(a.Type)
	if s.names[strings.ToLower(name)] || strings.HasSuffix(a.Key, suffix) {
		name += suffix
	}
	s.names[strings.ToLower(name)] = true
	n := s.w.AddLeaf(pq.Leaf{Name: name, List: list, Kind: kindOfType(a.Type), Optional: true, Bloom: s.bloom && a.Type.Elem() == columnar.String})
	s.attrs[a] = n
	return n
}

// attrOf reads an attribute out of a column's name; the inverse of schema.attr.
// A suffix counts only when it names the column's own type.
func attrOf(l *pq.Leaf) (Attr, bool) {
	t, ok := typeOfKind(l.Kind)
	key, prefixed := strings.CutPrefix(l.Name, spanPrefix)
	switch {
	case !ok || !prefixed || !l.Optional || l.List != "" && l.List != pq.Element:
		return Attr{}, false
	case l.List != "":
		t |= columnar.Array
	}
	return Attr{Key: strings.TrimSuffix(key, "#"+typeName(t)), Type: t}, true
}
