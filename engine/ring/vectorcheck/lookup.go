package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// operation gives the ring operation of a name in the vectors.
func operation(name string) (ring.Operation, error) {
	switch name {
	case "write":
		return ring.Write, nil
	case "write_no_extend":
		return ring.WriteNoExtend, nil
	case "read":
		return ring.Read, nil
	case "reporting":
		return ring.Reporting, nil
	}
	return 0, fmt.Errorf("unknown operation %q", name)
}

// errorName gives the name the vectors use for an error.
func errorName(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ring.ErrEmptyRing):
		return "empty_ring"
	case errors.Is(err, ring.ErrNotEnoughReplicas):
		return "not_enough_live_replicas"
	case errors.Is(err, ring.ErrTooManyUnhealthy):
		return "too_many_unhealthy"
	case errors.Is(err, ring.ErrExpandedReplication):
		return "expanded_replication_not_supported"
	}
	return err.Error()
}

func sameError(want string, err error) error {
	got := errorName(err)
	if got == want || want == "empty" && got == "empty_ring" {
		return nil
	}
	return fmt.Errorf("error %q, want %q", got, want)
}

func checkOperation(raw json.RawMessage) error {
	var c struct {
		Op      string   `json:"op"`
		Healthy []string `json:"healthy_states"`
		Extend  []string `json:"extend_states"`
		Bitmap  uint32   `json:"bitmap"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	healthy, extend, err := states(c.Healthy, c.Extend)
	if err != nil {
		return err
	}
	op, err := operation(c.Op)
	if err != nil {
		op = ring.NewOperation(healthy, extend)
	}
	if uint32(op) != c.Bitmap {
		return fmt.Errorf("bitmap %d, want %d", uint32(op), c.Bitmap)
	}
	for s := ring.Active; s <= ring.Left; s++ {
		if op.Accepts(s) != slices.Contains(healthy, s) || op.Extends(s) != slices.Contains(extend, s) {
			return fmt.Errorf("state %v: accepts %v, extends %v", s, op.Accepts(s), op.Extends(s))
		}
	}
	return nil
}

func states(healthy, extend []string) (h, e []ring.State, err error) {
	parse := func(names []string) (out []ring.State) {
		for _, n := range names {
			s, ok := ring.ParseState(n)
			if !ok {
				err = fmt.Errorf("unreadable state %q", n)
			}
			out = append(out, s)
		}
		return out
	}
	h, e = parse(healthy), parse(extend)
	return h, e, err
}

func checkHealth(raw json.RawMessage) error {
	var c struct {
		Op        string `json:"op"`
		State     string `json:"state"`
		Timestamp int64  `json:"timestamp"`
		NowMs     int64  `json:"now_unix_ms"`
		TimeoutMs int64  `json:"heartbeat_timeout_ms"`
		Healthy   bool   `json:"healthy"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	op, err := operation(c.Op)
	if err != nil {
		return err
	}
	state, ok := ring.ParseState(c.State)
	if !ok {
		return fmt.Errorf("unreadable state %q", c.State)
	}
	i := ring.Instance{State: state, Timestamp: c.Timestamp}
	if got := i.IsHealthy(op, time.Duration(c.TimeoutMs)*time.Millisecond, time.UnixMilli(c.NowMs)); got != c.Healthy {
		return fmt.Errorf("healthy is %v, want %v", got, c.Healthy)
	}
	return nil
}

// lookupCase is a case of lookup_ring.
type lookupCase struct {
	Now           int64                `json:"now_unix"`
	Timeout       int64                `json:"heartbeat_timeout_seconds"`
	RF            int                  `json:"replication_factor"`
	ZoneAware     bool                 `json:"zone_awareness_enabled"`
	ExcludedZones []string             `json:"excluded_zones"`
	Strategy      string               `json:"strategy"`
	Proto         []byte               `json:"ring_proto_b64"`
	Ring          ringJSON             `json:"ring"`
	Get           []getJSON            `json:"get"`
	AllHealthy    []setJSON            `json:"get_all_healthy"`
	ForOperation  []setJSON            `json:"get_replication_set_for_operation"`
	Ownership     map[string]ownerPart `json:"ownership"`
	TokenRanges   []rangesJSON         `json:"token_ranges"`
	ShuffleShard  []shardJSON          `json:"shuffle_shard"`
}

type getJSON struct {
	Key       uint32   `json:"key"`
	Op        string   `json:"op"`
	RF        int      `json:"per_call_rf"`
	IDs       []string `json:"ids"`
	MaxErrors int      `json:"max_errors"`
	Error     string   `json:"error"`
}

type setJSON struct {
	Op                  string   `json:"op"`
	IDs                 []string `json:"ids"`
	MaxErrors           int      `json:"max_errors"`
	MaxUnavailableZones int      `json:"max_unavailable_zones"`
	ZoneAware           bool     `json:"zone_awareness_enabled"`
	Error               string   `json:"error"`
}

type ownerPart struct {
	Tokens  uint64  `json:"tokens"`
	Percent float64 `json:"percent"`
}

type rangesJSON struct {
	Instance string   `json:"instance"`
	Ranges   []uint32 `json:"ranges"`
	Error    bool     `json:"error"`
}

type shardJSON struct {
	Identifier string   `json:"identifier"`
	Size       int      `json:"size"`
	Lookback   int64    `json:"lookback_seconds"`
	IDs        []string `json:"ids"`
}

func checkLookupRing(raw json.RawMessage) error {
	var c lookupCase
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	d, err := ring.Unmarshal(c.Proto)
	if err != nil {
		return err
	}
	if err := sameRing(c.Ring, d); err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	cfg := ring.Config{
		ReplicationFactor: c.RF, ZoneAwareness: c.ZoneAware, ExcludedZones: c.ExcludedZones,
		HeartbeatTimeout: time.Duration(c.Timeout) * time.Second,
	}
	if strings.Contains(c.Strategy, "ignore") {
		cfg.Strategy = ring.IgnoreUnhealthy
	}
	r := ring.New(d, cfg)
	now := time.Unix(c.Now, 0)
	for _, check := range []func(*ring.Ring, time.Time) error{
		c.checkGet, c.checkSets, c.checkOwnership, c.checkTokenRanges, c.checkShards,
	} {
		if err := check(r, now); err != nil {
			return err
		}
		// A snapshot that only took over heartbeats must answer the same.
		if err := check(ring.WithHeartbeats(r, d), now); err != nil {
			return fmt.Errorf("after WithHeartbeats: %w", err)
		}
	}
	return nil
}

func (c *lookupCase) checkGet(r *ring.Ring, now time.Time) error {
	var buf [8]*ring.Instance
	for _, g := range c.Get {
		op, err := operation(g.Op)
		if err != nil {
			return err
		}
		set, err := r.GetRF(g.Key, op, now, g.RF, buf[:0])
		if err := sameError(g.Error, err); err != nil {
			return fmt.Errorf("get %d %s: %w", g.Key, g.Op, err)
		}
		if got := ids(set); !slices.Equal(got, g.IDs) || set.MaxErrors != g.MaxErrors {
			return fmt.Errorf("get %d %s: %q, %d errors; want %q, %d", g.Key, g.Op, got, set.MaxErrors, g.IDs, g.MaxErrors)
		}
	}
	return nil
}

func ids(set ring.ReplicationSet) []string {
	var out []string
	for _, i := range set.Instances {
		out = append(out, i.ID)
	}
	return out
}

func (c *lookupCase) checkSets(r *ring.Ring, now time.Time) error {
	for _, s := range c.AllHealthy {
		if err := s.check(r.AllHealthy, now); err != nil {
			return fmt.Errorf("all healthy %s: %w", s.Op, err)
		}
	}
	for _, s := range c.ForOperation {
		if err := s.check(r.ReplicationSetForOperation, now); err != nil {
			return fmt.Errorf("set for operation %s: %w", s.Op, err)
		}
	}
	return nil
}

func (s setJSON) check(get func(ring.Operation, time.Time) (ring.ReplicationSet, error), now time.Time) error {
	op, err := operation(s.Op)
	if err != nil {
		return err
	}
	set, err := get(op, now)
	if err := sameError(s.Error, err); err != nil {
		return err
	}
	return s.same(set)
}

func (s setJSON) same(set ring.ReplicationSet) error {
	got := ids(set)
	slices.Sort(got)
	if !slices.Equal(got, s.IDs) {
		return fmt.Errorf("%q, want %q", got, s.IDs)
	}
	if set.MaxErrors != s.MaxErrors || set.MaxUnavailableZones != s.MaxUnavailableZones || set.ZoneAware != s.ZoneAware {
		return fmt.Errorf("%d errors, %d zones, zone aware %v; want %d, %d, %v", set.MaxErrors,
			set.MaxUnavailableZones, set.ZoneAware, s.MaxErrors, s.MaxUnavailableZones, s.ZoneAware)
	}
	return nil
}

func (c *lookupCase) checkOwnership(r *ring.Ring, _ time.Time) error {
	if c.Ownership == nil {
		return nil
	}
	owners := r.Ownership()
	if len(owners) != len(c.Ownership) {
		return fmt.Errorf("ownership of %d instances, want %d", len(owners), len(c.Ownership))
	}
	for _, o := range owners {
		if err := c.Ownership[o.ID].same(o.Range, o.Percent); err != nil {
			return fmt.Errorf("ownership of %s: %w", o.ID, err)
		}
	}
	return nil
}

func (w ownerPart) same(keys uint64, percent float64) error {
	if keys != w.Tokens || math.Abs(percent-w.Percent) > 1e-9 {
		return fmt.Errorf("%d keys, %v %%; want %d, %v", keys, percent, w.Tokens, w.Percent)
	}
	return nil
}

func (c *lookupCase) checkTokenRanges(r *ring.Ring, _ time.Time) error {
	for _, t := range c.TokenRanges {
		ranges, err := r.TokenRanges(t.Instance)
		if (err != nil) != t.Error {
			return fmt.Errorf("token ranges of %s: error %v, want %v", t.Instance, err, t.Error)
		}
		if got := flatRanges(ranges); !slices.Equal(got, t.Ranges) {
			return fmt.Errorf("token ranges of %s: %v, want %v", t.Instance, got, t.Ranges)
		}
	}
	return nil
}

func flatRanges(ranges []ring.TokenRange) []uint32 {
	var out []uint32
	for _, r := range ranges {
		out = append(out, r.First, r.Last)
	}
	return out
}

func (c *lookupCase) checkShards(r *ring.Ring, now time.Time) error {
	for _, s := range c.ShuffleShard {
		shard := r.ShuffleShard(s.Identifier, s.Size)
		if s.Lookback > 0 {
			shard = r.ShuffleShardWithLookback(s.Identifier, s.Size, time.Duration(s.Lookback)*time.Second, now)
		}
		var got []string
		for _, i := range shard.Instances() {
			got = append(got, i.ID)
		}
		if !slices.Equal(got, s.IDs) {
			return fmt.Errorf("shuffle shard %q size %d lookback %d: %q, want %q", s.Identifier, s.Size, s.Lookback, got, s.IDs)
		}
	}
	return nil
}
