package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ringctl/ringctl/engine/control"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// httpCase is one answer of a ring page.
type httpCase struct {
	Page        string          `json:"page"`
	Input       json.RawMessage `json:"input"`
	NowUnix     int64           `json:"now_unix"`
	Status      int             `json:"status"`
	ContentType string          `json:"content_type"`
	Body        map[string]any  `json:"body"`
}

// checkHTTPJSON asks the real pages for JSON. Fields that ours have in addition are fine.
func checkHTTPJSON(raw json.RawMessage) error {
	var c httpCase
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	store := memkv.New()
	if err := storeInput(store, c); err != nil {
		return err
	}
	answer, err := askPage(store, c)
	if err != nil {
		return err
	}
	if answer.Code != c.Status || answer.Header().Get("Content-Type") != c.ContentType {
		return fmt.Errorf("answer %d %q, want %d %q", answer.Code, answer.Header().Get("Content-Type"), c.Status, c.ContentType)
	}
	var got map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	delete(c.Body, "now")
	return contains("body", got, c.Body)
}

// storeInput puts the case's ring under its key.
func storeInput(store kv.Store, c httpCase) error {
	var value []byte
	if c.Page == "partition_ring" {
		var in partitionRingJSON
		if err := json.Unmarshal(c.Input, &in); err != nil {
			return err
		}
		d, err := in.desc()
		if err != nil {
			return err
		}
		value = partition.EncodeValue(d)
	} else {
		var in ringJSON
		if err := json.Unmarshal(c.Input, &in); err != nil {
			return err
		}
		d, err := in.desc()
		if err != nil {
			return err
		}
		value = ring.EncodeValue(d)
	}
	return store.CAS(context.Background(), c.Page, func([]byte) ([]byte, bool, error) { return value, false, nil })
}

// askPage serves one request for the case's page.
func askPage(store kv.Store, c httpCase) (*httptest.ResponseRecorder, error) {
	pages, err := control.New(control.Config{
		Rings: []control.Ring{{Name: "ring", Title: "Ring", Key: "ring", Path: "/ring", Store: store,
			Lookup: ring.Config{ReplicationFactor: 3, HeartbeatTimeout: time.Minute}}},
		PartitionRings: []control.PartitionRing{{Name: "partition_ring", Title: "Partitions", Key: "partition_ring",
			Path: "/partition_ring", Store: store, Instances: "ring"}},
		Now: func() time.Time { return time.Unix(c.NowUnix, 0) },
	}, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		return nil, err
	}
	req := httptest.NewRequest(http.MethodGet, "/"+c.Page, bytes.NewReader(nil))
	req.Header.Set("Accept", "application/json")
	rec := httptest.NewRecorder()
	pages.Handler().ServeHTTP(rec, req)
	return rec, nil
}

// contains checks that got has everything that want has, with the same values.
func contains(at string, got, want any) error {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %v, want an object", at, got)
		}
		for k, w := range want {
			if _, ok := g[k]; !ok {
				return fmt.Errorf("%s.%s is missing", at, k)
			}
			if err := contains(at+"."+k, g[k], w); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Errorf("%s: %v, want %v", at, got, want)
		}
		for n, w := range want {
			if err := contains(fmt.Sprintf("%s[%d]", at, n), g[n], w); err != nil {
				return err
			}
		}
		return nil
	}
	if got != want {
		return fmt.Errorf("%s: %v, want %v", at, got, want)
	}
	return nil
}
