package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// maxPage bounds one answer over HTTP.
const maxPage = 64 << 20

// httpSnapshot asks the HTTP addresses in order until one answers.
func (c *Client) httpSnapshot(ctx context.Context) (*Snapshot, error) {
	var errs []error
	for _, base := range c.cfg.HTTP {
		s, err := c.httpFrom(ctx, base)
		if err == nil {
			return s, nil
		}
		errs = append(errs, err)
	}
	return nil, httpNoView(errors.Join(errs...))
}

// httpViews asks all HTTP addresses.
func (c *Client) httpViews(ctx context.Context) ([]*Snapshot, error) {
	var out []*Snapshot
	failed := map[string]error{}
	for _, base := range c.cfg.HTTP {
		s, err := c.httpFrom(ctx, base)
		if err != nil {
			failed[base] = err
			continue
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Snapshot) int { return strings.Compare(a.From, b.From) })
	switch {
	case len(out) == 0:
		return nil, httpNoView(&Unreached{Members: failed})
	case len(failed) > 0:
		return out, &Unreached{Members: failed}
	}
	return out, nil
}

func httpNoView(err error) error {
	return &Error{Code: CodeNoView, Op: "get a view", Err: err,
		Hint: "--http takes the base URL of a member's HTTP port, for example http://127.0.0.1:3200"}
}

// httpFrom reads the memberlist page, which has everything, else the ring pages, which have no tombstones.
func (c *Client) httpFrom(ctx context.Context, base string) (*Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	base = strings.TrimSuffix(base, "/")
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not an http or https URL", base)
	}
	view, err := c.memberlistPage(ctx, base)
	o := c.options(HTTP)
	o.Note = "read from the memberlist page"
	if err != nil {
		pages, pagesErr := c.ringPages(ctx, base)
		if pagesErr != nil {
			return nil, errors.Join(err, pagesErr)
		}
		view, o.Note = pages, "read from the ring pages: no tombstones, keys by the usual names"
	}
	name := or(view.From, base)
	view.From, view.At = base, c.cfg.Now()
	s := Build(view, o)
	s.From = name
	return s, nil
}

func (c *Client) httpClient() *http.Client {
	if c.cfg.HTTPClient != nil {
		return c.cfg.HTTPClient
	}
	return &http.Client{Timeout: c.cfg.Timeout, Transport: &http.Transport{TLSClientConfig: c.cfg.TLS, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
}

func (c *Client) get(ctx context.Context, addr string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, addr, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.httpClient().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", addr, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", addr, err)
	}
	if len(body) > maxPage {
		return nil, fmt.Errorf("get %s: the answer is larger than %d bytes", addr, maxPage)
	}
	return body, nil
}

// memberlistJSON is the part of the memberlist page that is used.
type memberlistJSON struct {
	SortedMembers []struct {
		Name  string
		Addr  string
		Port  uint16
		Meta  string
		State int
	}
	Store map[string]struct {
		CodecID string
		Deleted bool
	}
	// Self is the name of the member that answers; only tempod says it.
	Self string
}

// memberlistPage downloads every key in its wire form.
func (c *Client) memberlistPage(ctx context.Context, base string) (*gossip.View, error) {
	body, err := c.get(ctx, base+"/memberlist")
	if err != nil {
		return nil, err
	}
	var page memberlistJSON
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("read %s/memberlist: no gossip state there (the member may use another store): %w", base, err)
	}
	view := &gossip.View{}
	for _, m := range page.SortedMembers {
		meta, err := base64.StdEncoding.DecodeString(m.Meta)
		if err != nil {
			meta = nil
		}
		view.Nodes = append(view.Nodes, gossip.Node{Name: m.Name, Addr: net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port))),
			State: gossip.NodeState(min(max(m.State, 0), 255)), Meta: gossip.ParseMeta(meta)})
	}
	for key, of := range page.Store {
		value, err := c.get(ctx, base+"/memberlist?downloadKey="+url.QueryEscape(key))
		if err != nil {
			return nil, err
		}
		view.Pairs = append(view.Pairs, gossip.Pair{Key: key, Value: value, Codec: of.CodecID, Deleted: of.Deleted})
	}
	if len(view.Pairs) == 0 {
		return nil, fmt.Errorf("read %s/memberlist: no keys", base)
	}
	view.From = page.Self
	return view, nil
}

// page is where a ring is usually shown, and its usual key.
type page struct {
	path, key string
	partition bool
}

// pages are the pages that are tried.
func pages() []page {
	return []page{
		{path: "/ingester/ring", key: "collectors/ring"},
		{path: "/ring", key: "collectors/ring"},
		{path: "/distributor/ring", key: "collectors/distributor"},
		{path: "/compactor/ring", key: "collectors/compactor"},
		{path: "/store-gateway/ring", key: "collectors/store-gateway"},
		{path: "/query-scheduler/ring", key: "collectors/query-scheduler"},
		{path: "/scheduler/ring", key: "collectors/scheduler"},
		{path: "/overrides-exporter/ring", key: "collectors/overrides-exporter"},
		{path: "/ruler/ring", key: "rulers/ring"},
		{path: "/multitenant_alertmanager/ring", key: "alertmanagers/alertmanager"},
		{path: "/indexgateway/ring", key: "collectors/index-gateway"},
		{path: "/pattern/ring", key: "collectors/pattern-ring"},
		{path: "/live-store/ring", key: "collectors/live-store"},
		{path: "/backend-worker/ring", key: "collectors/backend-worker"},
		{path: "/partition-ring", key: "collectors/livestore-partitions", partition: true},
		{path: "/ingester/partition-ring", key: "collectors/ingester-partitions", partition: true},
	}
}

// ringPages reads what pages there are.
func (c *Client) ringPages(ctx context.Context, base string) (*gossip.View, error) {
	view := &gossip.View{}
	var first error
	seen := map[string]bool{}
	for _, p := range pages() {
		if seen[p.key] {
			continue
		}
		body, err := c.get(ctx, base+p.path)
		if err == nil {
			var pair gossip.Pair
			if pair, err = p.pair(body); err == nil {
				seen[p.key] = true
				view.Pairs = append(view.Pairs, pair)
			}
		}
		if err != nil && first == nil {
			first = err
		}
	}
	if len(view.Pairs) == 0 {
		return nil, first
	}
	return view, nil
}

func (p page) pair(body []byte) (gossip.Pair, error) {
	if p.partition {
		var j ringapi.PartitionPage
		if err := json.Unmarshal(body, &j); err != nil {
			return gossip.Pair{}, fmt.Errorf("read %s: %w", p.path, err)
		}
		return gossip.Pair{Key: or(j.Key, p.key), Codec: partition.Codec, Value: partition.EncodeValue(partitionsOfPage(&j))}, nil
	}
	var j ringapi.RingPage
	if err := json.Unmarshal(body, &j); err != nil {
		return gossip.Pair{}, fmt.Errorf("read %s: %w", p.path, err)
	}
	return gossip.Pair{Key: or(j.Key, p.key), Codec: ring.Codec, Value: ring.EncodeValue(ringOfPage(&j))}, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func ringOfPage(j *ringapi.RingPage) *ring.Desc {
	d := ring.NewDesc()
	for _, s := range j.Shards {
		state, ok := ring.ParseState(or(s.StoredState, s.State))
		if !ok {
			state = ring.Active // UNHEALTHY stands in place of the state; the heartbeat says so as well
		}
		tokens := slices.Clone(s.Tokens)
		slices.Sort(tokens)
		d.Instances[s.ID] = ring.Instance{ID: s.ID, Addr: s.Address, Zone: s.Zone, State: state, Tokens: tokens,
			Timestamp: seconds(s.Timestamp), RegisteredTimestamp: seconds(s.RegisteredTimestamp),
			ReadOnly: s.ReadOnly, ReadOnlyUpdatedTimestamp: seconds(s.ReadOnlyUpdatedTimestamp), Versions: s.Versions}
	}
	return d
}

func partitionsOfPage(j *ringapi.PartitionPage) *partition.Desc {
	d := partition.NewDesc()
	for _, p := range j.Partitions {
		if !p.Corrupted {
			d.Partitions[p.ID] = partition.Partition{ID: p.ID, State: partition.State(p.State), StateTimestamp: seconds(p.StateTimestamp),
				StateChangeLocked: p.StateChangeLocked, Tokens: p.Tokens}
		}
		for _, id := range p.OwnerIDs {
			d.Owners[id] = partition.Owner{OwnedPartition: p.ID, State: partition.OwnerActive}
		}
	}
	return d
}

// seconds is a time in Unix seconds, 0 for the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
