//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/block/pq"
)

// blocks is what lies in the bucket, less what was replaced.
type blocks struct {
	visible, fresh int
	spans, bytes   int64
	largest        string // folder of the largest, and its spans
	most           int64
	columns        []columnSize // of the largest
}

type columnSize struct {
	name  string
	bytes int64
}

// meta is what is read of a meta.json.
type meta struct {
	ID             string
	Spans          int64
	Level          int
	DataBytes      int64 `json:"data_bytes"`
	ResourcesBytes int64 `json:"resources_bytes"`
	Replaces       []string
}

func (s *server) blocks() (out blocks, err error) {
	files, err := filepath.Glob(filepath.Join(s.data, "*", "*", "meta.json"))
	if err != nil {
		return out, err
	}
	all := map[string]meta{}
	gone := map[string]bool{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var m meta
		if err == nil {
			err = json.Unmarshal(raw, &m)
		}
		if err != nil {
			return out, fmt.Errorf("%s: %w", f, err)
		}
		all[filepath.Dir(f)] = m
		for _, id := range m.Replaces {
			gone[id] = true
		}
	}
	for dir, m := range all {
		if gone[m.ID] {
			continue
		}
		out.visible++
		out.spans += m.Spans
		out.bytes += m.DataBytes + m.ResourcesBytes
		if m.Level == 0 {
			out.fresh++
		}
		if m.Spans > out.most {
			out.most, out.largest = m.Spans, dir
		}
	}
	return out, nil
}

const (
	calm  = 3 * time.Second        // how long the server must rest
	quiet = 200 * time.Millisecond // of CPU in that time
)

// settled waits until all spans are in blocks, no two of them wait to be merged,
// and the server rests.
func (s *server) settled(ctx context.Context, spans int64) (out blocks, err error) {
	since, used := time.Now(), time.Duration(0)
	err = s.await(ctx, "merged blocks", func() (bool, error) {
		cpu, err := s.cpu()
		if err != nil {
			return false, err
		}
		if out, err = s.blocks(); err != nil {
			return false, err
		}
		if out.spans != spans || out.fresh > 1 || cpu-used > quiet {
			since, used = time.Now(), cpu
			return false, nil
		}
		return time.Since(since) > calm, nil
	})
	if err == nil {
		out.columns, err = columns(out.largest)
	}
	return out, err
}

const columnsShown = 20

// columns lists what the columns of a block weigh, the heaviest first.
func columns(dir string) ([]columnSize, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "data.parquet"))
	if err != nil {
		return nil, err
	}
	f, _, err := pq.ParseTail(raw, int64(len(raw)))
	if err != nil {
		return nil, err
	}
	out := make([]columnSize, len(f.Leaves))
	rest := columnSize{"metadata and bloom filters", int64(len(raw))}
	for i, l := range f.Leaves {
		out[i].name = l.Name
		if l.List != "" {
			out[i].name = l.List + "." + l.Name
		}
		for g := range f.Groups {
			c := &f.Groups[g].Chunks[i]
			out[i].bytes += c.End - c.Start
		}
		rest.bytes -= out[i].bytes
	}
	out = append(out, rest)
	slices.SortFunc(out, func(a, b columnSize) int { return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.name, b.name)) })
	if len(out) > columnsShown {
		others := columnSize{name: fmt.Sprintf("%d others", len(out)-columnsShown)}
		for _, c := range out[columnsShown:] {
			others.bytes += c.bytes
		}
		out = append(out[:columnsShown], others)
	}
	return out, nil
}
