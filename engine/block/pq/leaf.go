package pq

import (
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Kind is the physical and logical type of a column's values.
type Kind uint8

// The kinds of values. Integer kinds travel as Chunk.Ints, the others as codes
// into a Dict.
const (
	Int32     Kind = iota // INT32
	Int64                 // INT64
	Timestamp             // INT64, TIMESTAMP(nanos, UTC)
	Double                // DOUBLE; Ints holds math.Float64bits
	Bool                  // BOOLEAN; Ints holds 0 or 1
	Fixed8                // FIXED_LEN_BYTE_ARRAY(8); Ints holds the big-endian value
	Fixed16               // FIXED_LEN_BYTE_ARRAY(16); codes
	String                // BYTE_ARRAY annotated as UTF-8 text; codes
	Blob                  // BYTE_ARRAY without annotation; codes
)

// IsInt reports whether values of the kind travel as integers.
func (k Kind) IsInt() bool { return k <= Fixed8 }

// Hint is the writer's wish for the encoding of a column.
type Hint uint8

// Hints. Auto decides from the values of each chunk.
const (
	Auto  Hint = iota
	Plain      // PLAIN
	Delta      // DELTA_BINARY_PACKED, integers only
	Raw        // PLAIN without compression, for values that look random
)

// Element is the List of a column whose values are lists themselves.
const Element = "element"

// MaxElements bounds the values of one list of an Element column, so that a page
// of one never has more than PageValues + MaxElements values.
const MaxElements = PageValues

// Leaf describes one column of a file.
type Leaf struct {
	Name string
	Kind Kind
	// Optional columns may lack values.
	Optional bool
	// List, when set, makes the column a LIST: of plain values when it is Element,
	// otherwise of groups, of which it names a member. Members of one Name must be
	// added one after the other; they share their lengths.
	List string
	Hint Hint
	// Bloom asks for a bloom filter when a chunk's values are worth one.
	Bloom bool
}

func (l *Leaf) path() []string {
	switch l.List {
	case "":
		return []string{l.Name}
	case Element:
		return []string{l.Name, "list", Element}
	}
	return []string{l.Name, "list", Element, l.List}
}

// physical returns the Parquet type and the length of a fixed-length value.
func (k Kind) physical() (format.Type, int32) {
	switch k {
	case Int32:
		return format.Int32, 0
	case Int64, Timestamp:
		return format.Int64, 0
	case Double:
		return format.Double, 0
	case Bool:
		return format.Boolean, 0
	case Fixed8:
		return format.FixedLenByteArray, 8
	case Fixed16:
		return format.FixedLenByteArray, 16
	}
	return format.ByteArray, 0
}

// element returns the schema element of the leaf itself.
func (l *Leaf) element() format.SchemaElement {
	e := format.SchemaElement{Name: l.Name}
	if l.List != "" {
		e.Name = l.List
	}
	t, n := l.Kind.physical()
	e.Type = thrift.New(t)
	if n > 0 {
		e.TypeLength = thrift.New(n)
	}
	rep := format.Required
	if l.Optional && l.List == "" {
		rep = format.Optional
	}
	e.RepetitionType = thrift.New(rep)
	switch l.Kind {
	case String:
		e.ConvertedType = thrift.New(convertedUTF8)
		e.LogicalType = format.LogicalType{Value: new(format.StringType)}
	case Timestamp:
		e.LogicalType = format.LogicalType{Value: &format.TimestampType{
			IsAdjustedToUTC: true, Unit: format.TimeUnit{Value: new(format.NanoSeconds)}}}
	}
	return e
}

// schema lays the leaves out as Parquet's depth-first list of nodes.
func schema(leaves []Leaf) []format.SchemaElement {
	out := make([]format.SchemaElement, 1, len(leaves)+4)
	top := int32(0)
	for i := 0; i < len(leaves); i++ {
		l := &leaves[i]
		top++
		if l.List == "" {
			out = append(out, l.element())
			continue
		}
		out = append(out,
			format.SchemaElement{Name: l.Name, RepetitionType: thrift.New(format.Optional), NumChildren: thrift.New(int32(1)),
				ConvertedType: thrift.New(convertedList), LogicalType: format.LogicalType{Value: new(format.ListType)}},
			format.SchemaElement{Name: "list", RepetitionType: thrift.New(format.Repeated), NumChildren: thrift.New(int32(1))})
		if l.List == Element {
			out = append(out, l.element())
			continue
		}
		j := i
		for j < len(leaves) && leaves[j].Name == l.Name && leaves[j].List != "" {
			j++
		}
		out = append(out, format.SchemaElement{Name: Element, RepetitionType: thrift.New(format.Required), NumChildren: thrift.New(int32(j - i))})
		for ; i < j; i++ {
			out = append(out, leaves[i].element())
		}
		i--
	}
	out[0] = format.SchemaElement{Name: "spans", NumChildren: thrift.New(top)}
	return out
}
