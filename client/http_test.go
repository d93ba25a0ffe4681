package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/engine/ring"
)

// TestMemberlistPage reads the page as the dskit family serves it: everything, tombstones included.
func TestMemberlistPage(t *testing.T) {
	now := time.Now()
	d := clienttest.Edit(clienttest.Ring("ingester", 3, 8, now), "ingester-2", func(i *ring.Instance) { i.State, i.Tokens = ring.Left, nil })
	mux := http.NewServeMux()
	mux.HandleFunc("/memberlist", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("downloadKey") == ingester:
			_, _ = w.Write(ring.EncodeValue(d))
		case r.Header.Get("Accept") != "application/json":
			t.Errorf("asked for %q", r.Header.Get("Accept"))
		default:
			fmt.Fprintf(w, `{"Now":"2026-01-01T00:00:00Z","SortedMembers":[{"Name":"m-0","Addr":"10.0.0.1","Port":7946,"Meta":"","State":0,"PMin":1,"PMax":5,"PCur":2},{"Name":"m-1","Addr":"10.0.0.2","Port":7946,"Meta":"AQEBYQ==","State":1}],"Store":{"%s":{"Version":5,"CodecID":"ringDesc","Deleted":false,"UpdateTime":"0001-01-01T00:00:00Z"}}}`, ingester)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c := dial(t, client.Config{HTTP: []string{server.URL + "/"}})
	s, err := c.Snapshot(t.Context())
	must(t, err)
	r, _ := s.Ring("ingester")
	if s.Mode != client.HTTP || r == nil || len(r.Instances) != 2 || len(r.Tombstones) != 1 {
		t.Fatalf("%s %+v", s.Mode, r)
	}
	if len(s.Members) != 2 || s.Members[1].Zone != "a" || s.Members[1].State != "suspect" || s.Members[0].Addr != "10.0.0.1:7946" {
		t.Errorf("%+v", s.Members)
	}
	if _, err := c.PlanForget(t.Context(), client.ForgetRequest{Ring: "ingester", IDs: []string{"ingester-0"}}); client.CodeOf(err) != client.CodeRefused {
		t.Errorf("a change over HTTP: %v", err)
	}
}

// TestRingPages reads the pages of a member that does not use gossip.
func TestRingPages(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	mux := http.NewServeMux()
	mux.HandleFunc("/memberlist", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "This instance doesn't use memberlist.")
	})
	mux.HandleFunc("/ingester/ring", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"shards":[{"id":"a","state":"ACTIVE","address":"10.0.0.1:9095","timestamp":%q,"registered_timestamp":"0001-01-01T00:00:00Z","read_only":false,"read_only_updated_timestamp":"0001-01-01T00:00:00Z","zone":"z","tokens":[7,3]},
			{"id":"b","state":"UNHEALTHY","address":"10.0.0.2:9095","timestamp":%q,"registered_timestamp":"0001-01-01T00:00:00Z","read_only":false,"read_only_updated_timestamp":"0001-01-01T00:00:00Z","zone":"z","tokens":null}],"now":%q}`,
			now.Format(time.RFC3339), now.Add(-time.Hour).Format(time.RFC3339), now.Format(time.RFC3339))
	})
	mux.HandleFunc("/partition-ring", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"partitions":[{"id":0,"corrupted":false,"state":2,"state_timestamp":"2025-08-21T18:20:53Z","state_change_locked":true,"owner_ids":["a"],"tokens":[1,2]},{"id":9,"corrupted":true,"state":0,"state_timestamp":"0001-01-01T00:00:00Z","state_change_locked":false,"owner_ids":["b"],"tokens":null}]}`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	s, err := dial(t, client.Config{HTTP: []string{server.URL}}).Snapshot(t.Context())
	must(t, err)
	r, _ := s.Ring("ingester")
	if r == nil || r.HealthyCount != 1 || r.Instances[1].Health != client.Unhealthy || r.Tokens != 2 || r.Instances[0].TokenValues[0] != 3 {
		t.Fatalf("%+v", r)
	}
	p, _ := s.PartitionRing("livestore-partitions")
	if p == nil || len(p.Partitions) != 1 || !p.Partitions[0].Locked || p.Partitions[0].State != "ACTIVE" || len(p.Orphans) != 1 {
		t.Errorf("%+v", p)
	}
	if s.Note == "" {
		t.Error("nothing says that this is less than the whole state")
	}
}

func TestNothingOverHTTP(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for _, url := range []string{server.URL, "not a url", "ftp://x"} {
		if _, err := dial(t, client.Config{HTTP: []string{url}}).Snapshot(t.Context()); client.CodeOf(err) != client.CodeNoView {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// FuzzPages: whatever a server answers, nothing panics.
func FuzzPages(f *testing.F) {
	f.Add([]byte(`{"SortedMembers":[{"Name":"a","Addr":"b","Port":1,"Meta":"AQEBYQ==","State":9}],"Store":{"collectors/ring":{"CodecID":"ringDesc"}}}`), []byte("\xff"))
	f.Add([]byte(`{"shards":[{"id":"a","state":"ACTIVE","tokens":[2,1]}],"partitions":[{"id":1,"owner_ids":["x"]}]}`), []byte(""))
	f.Fuzz(func(t *testing.T, page, value []byte) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				_, _ = w.Write(value)
				return
			}
			_, _ = w.Write(page)
		}))
		defer server.Close()
		c, err := client.New(client.Config{HTTP: []string{server.URL}})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := c.Snapshot(context.Background()); err == nil && s == nil {
			t.Error("neither a snapshot nor an error")
		}
	})
}
