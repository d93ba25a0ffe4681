package gen

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// A load file is magic, then requests: lengths of the body and of the list of
// timestamps, the number of spans (4 bytes each, little endian), the offsets of
// the timestamps, the body. Timestamps count from the start of the window.
const magic = "RINGLOAD"

// Window is the stretch of time that the traces of a file start in.
const Window = 10 * time.Minute

const (
	requestSpans = 200
	mixedSpans   = 1000
	maxBody      = 64 << 20
)

// Truth is what a file holds, to check answers against.
type Truth struct {
	Spans, Traces, Requests, Bytes int64
	// Traces with a span of status 500; with one below a frontend span; with a
	// URL of an order that starts with 12; with more than five spans of cart.
	Status500, FrontendTo500, Orders12, CartOver5 int64
	// IDs are a sample of trace ids, evenly spread, with their spans.
	IDs []TraceSize
	// Users are some user ids with the number of their traces.
	Users []UserTraces
}

// TraceSize is a trace and its number of spans.
type TraceSize struct {
	ID    string
	Spans int
}

// UserTraces is a user id and the number of traces with it.
type UserTraces struct {
	ID     string
	Traces int
}

// count adds a trace.
func (t *Truth) count(m *model, f *facts, spans []span) {
	t.Spans += int64(len(spans))
	t.Traces++
	var failed, below, ordered bool
	carts, served := 0, false
	for i := range spans {
		s := &spans[i]
		served = served || s.role == server
		if s.service == cart {
			carts++
		}
		if s.role != server && s.role != httpClient {
			continue
		}
		ordered = ordered || m.ops[s.op].service == orders || s.op == 3
		if s.status == 500 {
			failed = true
			for p := s.parent; p >= 0 && !below; p = spans[p].parent {
				below = spans[p].service == frontend
			}
		}
	}
	add := func(n *int64, yes bool) {
		if yes {
			*n++
		}
	}
	add(&t.Status500, failed)
	add(&t.FrontendTo500, below)
	add(&t.CartOver5, carts > 5)
	order := strconv.Itoa(f.order)
	add(&t.Orders12, ordered && len(order) > 2 && order[:2] == "12")
	if served {
		if u := slices.IndexFunc(t.Users, func(u UserTraces) bool { return u.ID == f.userID }); u >= 0 {
			t.Users[u].Traces++
		} else if len(t.Users) < 20 {
			t.Users = append(t.Users, UserTraces{f.userID, 1})
		}
	}
}

// Create writes a load file of at least that many spans, and its truth beside it
// with ".json" added to the name.
func Create(path string, spans int64, seed uint64) (truth *Truth, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	truth = &Truth{}
	if err := write(w, newModel(seed, truth), spans); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(truth, "", " ")
	if err != nil {
		return nil, err
	}
	return truth, errors.Join(w.Flush(), os.WriteFile(path+".json", raw, 0o644))
}

func write(w *bufio.Writer, m *model, spans int64) error {
	if _, err := w.WriteString(magic); err != nil {
		return err
	}
	expected := max(spans/17, 1) // traces
	every := max(expected/1000, 1)
	var pending []encoded
	for m.truth.Spans < spans {
		start := int64(float64(Window) * min(1, float64(m.truth.Traces)/float64(expected)))
		id, list := m.trace(start)
		if m.truth.Traces%every == 1%every {
			m.truth.IDs = append(m.truth.IDs, TraceSize{fmt.Sprintf("%x", id), len(list)})
		}
		if pending = append(pending, list...); len(pending) >= mixedSpans || m.truth.Spans >= spans {
			slices.SortStableFunc(pending, func(a, b encoded) int { return a.resource - b.resource })
			for part := range slices.Chunk(pending, requestSpans) {
				if err := m.request(w, part); err != nil {
					return err
				}
			}
			pending = pending[:0]
		}
	}
	return nil
}

// request writes spans, which are grouped by resource, as one request.
func (m *model) request(w *bufio.Writer, spans []encoded) error {
	var body, times []byte
	n := uint32(0)
	for i := 0; i < len(spans); {
		j := i
		for j < len(spans) && spans[j].resource == spans[i].resource {
			j++
		}
		r := &m.resources[spans[i].resource]
		inner := message(m.scratch[:0], 1, r.scope)
		var at []uint32
		for _, s := range spans[i:j] {
			inner = message(inner, 2, s.body)
			for _, t := range s.times {
				at = append(at, uint32(len(inner)-len(s.body))+t)
			}
		}
		outer := message(message(m.scratch2[:0], 1, r.body), 2, inner)
		body = protowire.AppendBytes(protowire.AppendTag(body, 1, protowire.BytesType), outer)
		for _, t := range at {
			times = binary.LittleEndian.AppendUint32(times, uint32(len(body)-len(inner))+t)
			n++
		}
		m.scratch, m.scratch2 = inner, outer
		i = j
	}
	var head []byte
	for _, v := range []uint32{uint32(len(body)), n, uint32(len(spans))} {
		head = binary.LittleEndian.AppendUint32(head, v)
	}
	m.truth.Requests++
	m.truth.Bytes += int64(len(body))
	for _, b := range [][]byte{head, times, body} {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// Request is one OTLP export request.
type Request struct {
	Body  []byte
	Spans int
}

// File is an open load file; for one goroutine.
type File struct {
	f    *os.File
	r    *bufio.Reader
	base uint64
}

// Open opens a load file whose window is to start at base.
func Open(path string, base time.Time) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return nil, errors.Join(fmt.Errorf("%s is not a load file", path), f.Close())
	}
	return &File{f, r, uint64(base.UnixNano())}, nil
}

// Next returns the next request, whose body is the caller's; io.EOF at the end.
func (f *File) Next() (*Request, error) {
	var head [12]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return nil, err
	}
	size, n := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if size > maxBody || n > size {
		return nil, fmt.Errorf("request of %d bytes with %d times", size, n)
	}
	times := make([]byte, 4*n)
	body := make([]byte, size)
	for _, p := range [][]byte{times, body} {
		if _, err := io.ReadFull(f.r, p); err != nil {
			return nil, err
		}
	}
	for ; len(times) > 0; times = times[4:] {
		at := binary.LittleEndian.Uint32(times)
		if uint64(at)+8 > uint64(size) {
			return nil, fmt.Errorf("time at %d of %d", at, size)
		}
		binary.LittleEndian.PutUint64(body[at:], binary.LittleEndian.Uint64(body[at:])+f.base)
	}
	return &Request{body, int(binary.LittleEndian.Uint32(head[8:]))}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }
