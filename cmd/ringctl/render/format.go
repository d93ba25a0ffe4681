package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/template"
	"time"

	"gopkg.in/yaml.v3"
)

// APIVersion is the version of the JSON documents. Within a version fields are only added.
const APIVersion = "ringctl/v1"

// View tells where an answer comes from.
type View struct {
	From string    `json:"from"`
	Addr string    `json:"addr,omitempty"`
	At   time.Time `json:"at"`
	Mode string    `json:"mode"`
	// Label is the cluster label; Note is what should be known about how the view was obtained.
	Label string `json:"label,omitempty"`
	Note  string `json:"note,omitempty"`
}

// Document is one answer.
type Document struct {
	// Kind names the shape of Data: "RingList", "Partition", …
	Kind string
	// Data is a slice for lists (in JSON: items) or a struct (in JSON: data).
	Data any
	// View is where it comes from; nil when it comes from no view or from many.
	View *View
	// Table is the form for people, and CSV. Text is printed instead of or before it.
	Text  string
	Table *Table
	// Names is the form for scripts that want names only.
	Names []string
}

// envelope is the JSON form of a document.
type envelope struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	View       *View  `json:"view,omitempty"`
	Items      any    `json:"items,omitempty"`
	Data       any    `json:"data,omitempty"`
}

// MarshalJSON writes the document with its apiVersion and kind.
func (d *Document) MarshalJSON() ([]byte, error) {
	e := envelope{APIVersion: APIVersion, Kind: d.Kind, View: d.View}
	v := reflect.ValueOf(d.Data)
	switch {
	case d.Data == nil:
	case v.Kind() == reflect.Slice && v.Len() == 0:
		e.Items = []struct{}{}
	case v.Kind() == reflect.Slice:
		e.Items = d.Data
	default:
		e.Data = d.Data
	}
	return json.Marshal(e)
}

// Format is a parsed -o flag.
type Format struct {
	kind     string // table, wide, json, yaml, name, csv, jsonpath, go-template
	template *template.Template
	path     *jsonPath
}

// Formats are the names that -o takes.
func Formats() []string {
	return []string{"table", "wide", "json", "yaml", "name", "csv", "jsonpath=…", "go-template=…"}
}

// ParseFormat reads the value of -o.
func ParseFormat(s string) (Format, error) {
	kind, arg, hasArg := strings.Cut(s, "=")
	switch kind {
	case "", "table":
		kind = "table"
	case "wide", "json", "yaml", "name", "csv":
	case "jsonpath":
		p, err := parseJSONPath(arg)
		if err != nil || !hasArg {
			return Format{}, fmt.Errorf("jsonpath %q: %w", arg, orMissing(err))
		}
		return Format{kind: kind, path: p}, nil
	case "go-template":
		t, err := template.New("output").Option("missingkey=zero").Parse(arg)
		if err != nil || !hasArg {
			return Format{}, fmt.Errorf("go-template %q: %w", arg, orMissing(err))
		}
		return Format{kind: kind, template: t}, nil
	default:
		return Format{}, fmt.Errorf("unknown output format %q; use one of %s", s, strings.Join(Formats(), ", "))
	}
	if hasArg {
		return Format{}, fmt.Errorf("output format %q takes no argument", kind)
	}
	return Format{kind: kind}, nil
}

func orMissing(err error) error {
	if err == nil {
		return fmt.Errorf("an expression is missing after '='")
	}
	return err
}

// ForPeople is true for tables: the forms in which words may stand beside data.
func (f Format) ForPeople() bool { return f.kind == "table" || f.kind == "wide" || f.kind == "" }

// Wide is true for -o wide.
func (f Format) Wide() bool { return f.kind == "wide" }

// Write prints the document. Stream makes JSON one line, for a sequence of documents.
func (f Format) Write(w io.Writer, d *Document, l Layout, stream bool) error {
	switch f.kind {
	case "json":
		return writeJSON(w, d, stream)
	case "yaml":
		return writeYAML(w, d, stream)
	case "name":
		for _, n := range d.Names {
			if _, err := fmt.Fprintln(w, oneLine(n)); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		return writeCSV(w, d, l)
	case "jsonpath", "go-template":
		return f.query(w, d)
	default:
		if d.Text != "" {
			if _, err := io.WriteString(w, d.Text); err != nil {
				return err
			}
		}
		if d.Table == nil {
			return nil
		}
		l.Wide = f.Wide()
		return d.Table.Write(w, l)
	}
}

func writeJSON(w io.Writer, d *Document, stream bool) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode %s: %w", d.Kind, err)
	}
	var out bytes.Buffer
	if stream {
		out.Write(b)
	} else if err := json.Indent(&out, b, "", "  "); err != nil {
		return fmt.Errorf("encode %s: %w", d.Kind, err)
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// writeYAML goes through JSON, which is YAML: names, order and omissions are then the same in both.
func writeYAML(w io.Writer, d *Document, stream bool) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode %s: %w", d.Kind, err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(b, &node); err != nil {
		return fmt.Errorf("encode %s: %w", d.Kind, err)
	}
	blockStyle(&node)
	if stream {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&node); err != nil {
		return fmt.Errorf("encode %s: %w", d.Kind, err)
	}
	return enc.Close()
}

func blockStyle(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		var guess yaml.Node
		n.Style = 0
		if yaml.Unmarshal([]byte(n.Value), &guess) != nil || len(guess.Content) != 1 || guess.Content[0].Tag != "!!str" {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	for _, c := range n.Content {
		blockStyle(c)
	}
}

func writeCSV(w io.Writer, d *Document, l Layout) error {
	if d.Table == nil {
		return fmt.Errorf("%s has no table form; use -o json", d.Kind)
	}
	out := csv.NewWriter(w)
	if !l.NoHeaders {
		row := make([]string, len(d.Table.Columns))
		for i, c := range d.Table.Columns {
			row[i] = c.Title
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	for _, r := range d.Table.rows {
		row := make([]string, len(r))
		for i, c := range r {
			row[i] = c.Text
			if row[i] == "-" {
				row[i] = ""
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// query runs the template or path over the JSON form, so that both see the documented names.
func (f Format) query(w io.Writer, d *Document) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode %s: %w", d.Kind, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("encode %s: %w", d.Kind, err)
	}
	if f.template != nil {
		if err := f.template.Execute(w, v); err != nil {
			return fmt.Errorf("go-template: %w", err)
		}
		return nil
	}
	return f.path.execute(w, v)
}
