package block

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/trace"
)

// The columns of resources.parquet.
const (
	resKind = iota // "resource" or "scope"
	resID
	resService
	resName
	resVersion
	resAttributes // JSON
	resSchemaURL
	resRaw
	resUnknown
)

func resourceLeaves() []pq.Leaf {
	return []pq.Leaf{
		resKind:       {Name: "kind", Kind: pq.String},
		resID:         {Name: "id", Kind: pq.Int32},
		resService:    {Name: "service_name", Kind: pq.String, Optional: true},
		resName:       {Name: "scope_name", Kind: pq.String, Optional: true},
		resVersion:    {Name: "scope_version", Kind: pq.String, Optional: true},
		resAttributes: {Name: "attributes", Kind: pq.String},
		resSchemaURL:  {Name: "schema_url", Kind: pq.String},
		resRaw:        {Name: "raw", Kind: pq.Blob, Hint: pq.Plain},
		resUnknown:    {Name: "unknown", Kind: pq.Blob, Hint: pq.Plain},
	}
}

// tables holds the distinct resources and scopes of a block.
type tables struct {
	groups    [2][]trace.Group // resources, scopes
	resources []trace.Resource
	scopes    []trace.Scope
}

// newTables takes resources and scopes apart. Malformed messages have no
// attributes; their bytes stay.
func newTables(resources, scopes []trace.Group) *tables {
	t := &tables{groups: [2][]trace.Group{resources, scopes},
		resources: make([]trace.Resource, len(resources)), scopes: make([]trace.Scope, len(scopes))}
	for i := range resources {
		if trace.DecodeResource(resources[i].Raw, &t.resources[i]) != nil {
			t.resources[i] = trace.Resource{}
		}
	}
	for i := range scopes {
		if trace.DecodeScope(scopes[i].Raw, &t.scopes[i]) != nil {
			t.scopes[i] = trace.Scope{}
		}
	}
	return t
}

// service is the service.name of resource i, nil when it has none that is text.
func (t *tables) service(i int) []byte {
	for j := range t.resources[i].Attrs {
		a := &t.resources[i].Attrs[j]
		if string(a.Key) == "service.name" && a.Value.Kind == trace.KindString {
			return a.Value.Bytes
		}
	}
	return nil
}

// services gives the code of each resource's service name in a dictionary.
func (t *tables) services() ([]uint32, *pq.Dict) {
	var names pq.Interner
	codes := make([]uint32, len(t.resources))
	for i := range codes {
		if s := t.service(i); s != nil {
			codes[i] = names.Code([]byte(strings.ToValidUTF8(string(s), "\uFFFD")))
		}
	}
	return codes, &names.Dict
}

// write writes resources.parquet and returns its size.
func (t *tables) write(path string, enc *pq.Encoder) (int64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", ResourcesName, err)
	}
	b := bufio.NewWriter(f)
	w := pq.NewWriter(b, enc)
	err = t.encode(w, enc)
	var tail pq.Tail
	if err == nil {
		tail, err = w.Close()
	}
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", ResourcesName, err)
	}
	return tail.Size, nil
}

func (t *tables) encode(w *pq.Writer, enc *pq.Encoder) error {
	var g pq.Group
	n := len(t.groups[0]) + len(t.groups[1])
	g.Reset(n)
	for i, leaf := range resourceLeaves() {
		w.AddLeaf(leaf)
		var ids pq.Interner
		ch := pq.Chunk{Dict: &ids.Dict}
		if leaf.Optional {
			ch.Rows = []uint32{}
		}
		row := uint32(0)
		for k := range t.groups {
			for j := range t.groups[k] {
				if i == resID {
					ch.Ints = append(ch.Ints, int64(j))
				} else if v := t.cell(i, k, j); v != nil || !leaf.Optional {
					if leaf.Optional {
						ch.Rows = append(ch.Rows, row)
					}
					if leaf.Kind == pq.String {
						v = []byte(strings.ToValidUTF8(string(v), "\uFFFD"))
					}
					ch.Codes = append(ch.Codes, ids.Code(v))
				}
				row++
			}
		}
		if err := enc.Encode(&g, i, w.Leaf(i), ch); err != nil {
			return err
		}
	}
	return w.AddGroup(&g)
}

// cell is the value of a text or blob column for entry j of table k.
func (t *tables) cell(col, k, j int) []byte {
	g := &t.groups[k][j]
	switch {
	case col == resKind && k == 0:
		return []byte("resource")
	case col == resKind:
		return []byte("scope")
	case col == resService && k == 0:
		return t.service(j)
	case col == resName && k == 1:
		return t.scopes[j].Name
	case col == resVersion && k == 1:
		return t.scopes[j].Version
	case col == resAttributes && k == 0:
		return attrsJSON(t.resources[j].Attrs)
	case col == resAttributes:
		return attrsJSON(t.scopes[j].Attrs)
	case col == resSchemaURL:
		return g.SchemaURL
	case col == resRaw:
		return g.Raw
	case col == resUnknown:
		return g.Unknown
	}
	return nil
}

// attrsJSON is a JSON object of the attributes, for people and other tools; the
// column raw has the truth.
func attrsJSON(attrs []trace.Attr) []byte {
	m := make(map[string]any, len(attrs))
	for i := range attrs {
		if _, ok := m[string(attrs[i].Key)]; !ok {
			m[string(attrs[i].Key)] = jsonValue(&attrs[i].Value)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return []byte("{}")
	}
	return b
}

func jsonValue(v *trace.Value) any {
	switch v.Kind {
	case trace.KindString:
		return string(v.Bytes)
	case trace.KindBool:
		return v.Bool()
	case trace.KindInt:
		return v.Int
	case trace.KindDouble:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case trace.KindArray:
		list := []any{}
		for e, err := range v.Elements() {
			if err != nil {
				return nil
			}
			list = append(list, jsonValue(&e))
		}
		return list
	case trace.KindMap:
		m := map[string]any{}
		for e, err := range v.Entries() {
			if err != nil {
				return nil
			}
			m[string(e.Key)] = jsonValue(&e.Value)
		}
		return m
	case trace.KindBytes:
		return hex.EncodeToString(v.Bytes)
	}
	return nil
}
