package block

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// The objects of a block.
const (
	DataName      = "data.parquet"
	ResourcesName = "resources.parquet"
	MetaName      = "meta.json"
)

// Version is the newest format version, that of blocks with columns of arrays.
// Blocks without one are of version 1 still, and both are read.
const (
	Version      = 2
	versionPlain = 1
)

// MaxMeta is the largest meta.json that is read.
const MaxMeta = 16 << 20

// ID is a block id: a UUID of version 7 as text, so that ids sort by time.
type ID = string

// NewID makes a block id.
func NewID() (ID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make block id: %w", err)
	}
	return id.String(), nil
}

// Meta is what is known of a block without opening it: the content of meta.json.
type Meta struct {
	Version int    `json:"version"`
	Tenant  string `json:"tenant"`
	ID      string `json:"id"`
	// Start is the earliest span start, End the latest span end.
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// Created is when the block was written.
	Created time.Time `json:"created"`
	Spans   int64     `json:"spans"`
	Traces  int64     `json:"traces"`
	Errors  int64     `json:"error_spans"`
	// Level counts the merges behind the block; 0 comes straight from a head.
	Level int `json:"level"`
	// DataBytes and ResourcesBytes are the sizes of the two files; the last
	// DataBytes-DataIndex bytes of the first are its metadata.
	DataBytes      int64 `json:"data_bytes"`
	DataIndex      int64 `json:"data_index"`
	ResourcesBytes int64 `json:"resources_bytes"`
	MinTrace       HexID `json:"min_trace_id"`
	MaxTrace       HexID `json:"max_trace_id"`
	// Groups are the row groups in the order of the file.
	Groups []Group `json:"row_groups"`
	// Fields are the attribute keys of spans, events, links, resources and
	// scopes with their types.
	Fields []Field `json:"fields"`
	// Replaces lists the blocks whose spans are all in this one. While one of
	// them still exists, readers leave it out.
	Replaces []ID `json:"replaces,omitempty"`
}

// Group is one row group: what a reader knows before it reads.
type Group struct {
	Rows   int   `json:"rows"`
	Traces int   `json:"traces"`
	Start  int64 `json:"start_unix_nano"`
	End    int64 `json:"end_unix_nano"`
	Bytes  int64 `json:"bytes"`
	Min    HexID `json:"min_trace_id"`
	Max    HexID `json:"max_trace_id"`
}

// Field is one attribute key with its scope and type, in words: "span",
// "http.method", "string".
type Field struct {
	Scope string `json:"scope"`
	Key   string `json:"key"`
	Type  string `json:"type"`
	// Overflow says that the key and type have a column and yet some values in the
	// overflow list: those that would not come out of a column as they went in.
	Overflow bool `json:"overflow,omitempty"`
}

// HexID is a trace id written in hex.
type HexID trace.ID

// MarshalText implements encoding.TextMarshaler.
func (h HexID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *HexID) UnmarshalText(b []byte) error {
	if len(b) != 32 {
		return fmt.Errorf("trace id of %d hex digits", len(b))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

var typeNames = [...]string{columnar.String: "string", columnar.Int: "int", columnar.Float: "double", columnar.Bool: "bool", columnar.Bytes: "bytes", columnar.Other: "other"}

func typeName(t columnar.Type) string {
	if t&columnar.Array != 0 {
		return typeName(t.Elem()) + "[]"
	}
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return ""
}

func parseType(s string) columnar.Type {
	if n := len(s); n > 2 && s[n-2:] == "[]" {
		return parseType(s[:n-2]) | columnar.Array
	}
	for i, name := range typeNames {
		if name == s && s != "" {
			return columnar.Type(i)
		}
	}
	return columnar.Nil
}

func parseScope(s string) columnar.Scope {
	for _, c := range []columnar.Scope{columnar.ScopeSpan, columnar.ScopeResource, columnar.ScopeEvent, columnar.ScopeLink, columnar.ScopeInstrumentation} {
		if c.String() == s {
			return c
		}
	}
	return columnar.ScopeNone
}

// ParseMeta reads a meta.json and checks it.
func ParseMeta(b []byte) (*Meta, error) {
	if len(b) > MaxMeta {
		return nil, fmt.Errorf("parse %s: larger than %d bytes", MetaName, MaxMeta)
	}
	m := new(Meta)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("parse %s: %w", MetaName, err)
	}
	return m, m.Check()
}

// Check makes sure of what the rest of the package relies on.
func (m *Meta) Check() error {
	if m.Version < versionPlain || m.Version > Version {
		return fmt.Errorf("check %s: format version %d, this build reads up to %d", MetaName, m.Version, Version)
	}
	var rows int64
	for _, g := range m.Groups {
		if g.Rows <= 0 || g.Traces <= 0 || g.Traces > g.Rows {
			return fmt.Errorf("check %s: row group of %d rows and %d traces", MetaName, g.Rows, g.Traces)
		}
		rows += int64(g.Rows)
	}
	if rows != m.Spans || m.DataIndex < 4 || m.DataIndex > m.DataBytes || m.ResourcesBytes < 0 {
		return fmt.Errorf("check %s: %d rows in groups, %d spans, %d bytes", MetaName, rows, m.Spans, m.DataBytes)
	}
	return nil
}

// Encode is the content of meta.json.
func (m *Meta) Encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", MetaName, err)
	}
	return append(b, '\n'), nil
}

// Bytes is the stored size of the block without meta.json.
func (m *Meta) Bytes() int64 { return m.DataBytes + m.ResourcesBytes }

// strays lists the attributes with a column that have values in the overflow list
// too.
func (m *Meta) strays() map[Attr]bool {
	var out map[Attr]bool
	for _, f := range m.Fields {
		if !f.Overflow || parseScope(f.Scope) != columnar.ScopeSpan {
			continue
		}
		if out == nil {
			out = map[Attr]bool{}
		}
		out[Attr{f.Key, parseType(f.Type)}] = true
	}
	return out
}

// fields turns the names of Meta.Fields into the terms of queries.
func (m *Meta) fields() []columnar.Field {
	out := make([]columnar.Field, 0, len(m.Fields))
	for _, f := range m.Fields {
		if s, t := parseScope(f.Scope), parseType(f.Type); s != columnar.ScopeNone && t != columnar.Nil {
			out = append(out, columnar.Field{Scope: s, Key: f.Key, Type: t})
		}
	}
	return out
}
