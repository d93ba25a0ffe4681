package ringapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"google.golang.org/grpc/codes"
)

var now = time.Unix(1_800_000_000, 0)

func TestStatusTable(t *testing.T) {
	seen := map[Code]bool{}
	for _, s := range Statuses() {
		if seen[s.Code] {
			t.Errorf("%s is there twice", s.Code)
		}
		seen[s.Code] = true
		if http.StatusText(s.HTTP) == "" || s.HTTP < 400 {
			t.Errorf("%s: HTTP status %d", s.Code, s.HTTP)
		}
		if strings.HasPrefix(codes.Code(s.GRPC).String(), "Code(") || s.GRPC == 0 {
			t.Errorf("%s: gRPC status %d", s.Code, s.GRPC)
		}
		if s.Exit < 1 || s.Exit > 8 {
			t.Errorf("%s: exit code %d", s.Code, s.Exit)
		}
	}
	for code, want := range map[Code]codes.Code{
		CodeInvalid: codes.InvalidArgument, CodeUnauthenticated: codes.Unauthenticated, CodeDenied: codes.PermissionDenied,
		CodeNotFound: codes.NotFound, CodeMethod: codes.Unimplemented, CodeNotAllowed: codes.FailedPrecondition,
		CodeLocked: codes.FailedPrecondition, CodeChanged: codes.Aborted, CodeUnavailable: codes.Unavailable,
		CodeTimeout: codes.DeadlineExceeded, CodeInternal: codes.Internal,
	} {
		if got := StatusOf(code).GRPC; got != uint32(want) {
			t.Errorf("%s: gRPC %d, want %s", code, got, want)
		}
		delete(seen, code)
	}
	if len(seen) > 0 {
		t.Errorf("codes without a test: %v", seen)
	}
	if StatusOf("no such code").Code != CodeInternal {
		t.Error("unknown codes have a wrong fallback")
	}
}

func TestError(t *testing.T) {
	err := fmt.Errorf("forget: %w", &Error{Code: CodeLocked, Ring: "collectors/ring", Subject: "partition 3", Message: "it is locked", Hint: "unlock it"})
	if !errors.Is(err, &Error{Code: CodeLocked}) || errors.Is(err, &Error{Code: CodeInvalid}) {
		t.Error("errors.Is does not compare codes")
	}
	if got, want := err.Error(), "forget: ring collectors/ring: partition 3: it is locked (unlock it)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if AsError(err).Code != CodeLocked || AsError(errors.New("x")).Code != CodeInternal || AsError(nil) != nil {
		t.Error("AsError finds the wrong error")
	}
}

func TestValidate(t *testing.T) {
	lock := true
	good := []interface{ Validate() error }{
		ForgetRequest{Instance: "a", Reason: "gone"},
		PartitionRequest{State: "active", Reason: "r"}, PartitionRequest{State: "PartitionInactive", IfState: "ACTIVE", Reason: "r"},
		PartitionRequest{Lock: &lock, Reason: "r"}, PartitionRemoveRequest{Reason: "r"}, OwnerRemoveRequest{Owner: "a/1", Reason: "ü"},
	}
	for _, r := range good {
		if err := r.Validate(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	bad := map[string]interface{ Validate() error }{
		"instance is empty":  ForgetRequest{Reason: "r"},
		"a reason is":        ForgetRequest{Instance: "a", Reason: " "},
		"reason has":         PartitionRemoveRequest{Reason: strings.Repeat("r", MaxReason+1)},
		"control characters": PartitionRemoveRequest{Reason: "two\nlines"},
		"owner has":          OwnerRemoveRequest{Owner: strings.Repeat("o", MaxID+1), Reason: "r"},
		"owner holds":        OwnerRemoveRequest{Owner: "\xff", Reason: "r"},
		"nothing to do":      PartitionRequest{Reason: "r"},
		`"DELETED"`:          PartitionRequest{State: "DELETED", Reason: "r"},
		`"gone"`:             PartitionRequest{State: "ACTIVE", IfState: "gone", Reason: "r"},
	}
	for want, r := range bad {
		err := r.Validate()
		if !errors.Is(err, &Error{Code: CodeInvalid}) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
}

func TestPaths(t *testing.T) {
	for got, want := range map[string]string{
		PathForget("collectors/ring"):                  "/api/ring/v1/rings/collectors%2Fring/forget",
		PathPartitionRemove("livestore-partitions", 3): "/api/ring/v1/partition-rings/livestore-partitions/partitions/3/remove",
		PathPartitionDrain("livestore-partitions", 3):  "/api/ring/v1/partition-rings/livestore-partitions/partitions/3/drain",
		PathOwnerRemove("a b"):                         "/api/ring/v1/partition-rings/a%20b/remove-owner",
		PathRings():                                    "/api/ring/v1/rings",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	mux := http.NewServeMux()
	var ring, partition string
	mux.HandleFunc("POST "+PatternPartition, func(_ http.ResponseWriter, r *http.Request) {
		ring, partition = r.PathValue("ring"), r.PathValue("partition")
	})
	req, err := http.NewRequest(http.MethodPost, PathPartition("collectors/x", 7), nil)
	if err != nil {
		t.Fatal(err)
	}
	mux.ServeHTTP(nil, req)
	if ring != "collectors/x" || partition != "7" {
		t.Errorf("the pattern does not match its path: %q, %q", ring, partition)
	}
}

func testRing(n int) *ring.Desc {
	d := ring.NewDesc()
	for i := range n {
		id := fmt.Sprintf("i-%d", i)
		tokens := []uint32{uint32(i) << 24, 1<<31 + uint32(i)<<24}
		d.Instances[id] = ring.Instance{ID: id, Zone: string(rune('a' + i%3)), Timestamp: now.Unix(), Tokens: tokens, State: ring.Active}
	}
	return d
}

func TestBuildRingJudges(t *testing.T) {
	o := RingOptions{Key: "collectors/ring", Name: "ingester", Lookup: ring.Config{ReplicationFactor: 3, ZoneAwareness: true, HeartbeatTimeout: time.Minute}}
	v := BuildRing(testRing(6), o, now)
	if v.Healthy != 6 || !v.Write.OK || v.Write.Margin != 1 || len(v.Problems) != 0 || len(v.Zones) != 3 {
		t.Fatalf("a healthy ring: %+v", v)
	}
	d := testRing(6)
	for _, id := range []string{"i-0", "i-1"} { // two zones lose one member each
		i := d.Instances[id]
		i.Timestamp -= 61
		d.Instances[id] = i
	}
	d.Instances["gone"] = ring.Instance{State: ring.Left}
	v = BuildRing(d, o, now)
	if v.Healthy != 4 || v.Write.OK || v.Write.Margin >= 0 || len(v.Write.Blocking) != 2 || len(v.Instances) != 6 {
		t.Errorf("two zones hurt: %+v %+v", v, v.Write)
	}
	if len(v.Problems) < 3 || !strings.Contains(v.Problems[0], "no write quorum because of i-0, i-1") {
		t.Errorf("problems: %q", v.Problems)
	}
	d = testRing(8)
	for id, i := range d.Instances {
		i.Timestamp, i.Tokens = now.Unix()-120, nil
		d.Instances[id] = i
	}
	v = BuildRing(d, o, now)
	if v.Write != nil || len(v.Problems) != 1 || !strings.HasSuffix(v.Problems[0], "no heartbeat for more than 1m: i-0, i-1, i-2, i-3, i-4 and 3 more") {
		t.Errorf("members without tokens: %+v", v.Problems)
	}
}

// TestHashIgnoresHeartbeats checks what the view hash is for: it changes with placement only.
func TestHashIgnoresHeartbeats(t *testing.T) {
	o := RingOptions{}
	base := BuildRing(testRing(3), o, now).Hash
	d := testRing(3)
	i := d.Instances["i-1"]
	i.Timestamp += 5
	d.Instances["i-1"] = i
	if BuildRing(d, o, now).Hash != base {
		t.Error("a heartbeat changes the hash")
	}
	i.State = ring.Leaving
	d.Instances["i-1"] = i
	if BuildRing(d, o, now).Hash == base {
		t.Error("a state does not change the hash")
	}
}

func TestDrainStatus(t *testing.T) {
	part := func(state string, f func(*Partition)) Partition {
		p := Partition{ID: 2, State: state, Since: now.Add(-time.Hour), LockedSince: now}
		if f != nil {
			f(&p)
		}
		return p
	}
	for name, c := range map[string]struct {
		in       DrainInput
		blocking int
		next     string
	}{
		"active":    {DrainInput{Partition: part("ACTIVE", nil)}, 1, "ringctl partition deactivate 2"},
		"pending":   {DrainInput{Partition: part("PENDING", nil)}, 1, "wait until it is ACTIVE"},
		"locked":    {DrainInput{Partition: part("INACTIVE", func(p *Partition) { p.Locked = true })}, 1, "ringctl partition unlock 2"},
		"readable":  {DrainInput{Partition: part("INACTIVE", nil), Horizon: 2 * time.Hour}, 1, "wait until 2027-01-15T09:00:00Z"},
		"unshipped": {DrainInput{Partition: part("INACTIVE", nil), Unshipped: 5}, 1, "wait until the data is in the bucket"},
		"owned": {DrainInput{Partition: part("INACTIVE", func(p *Partition) { p.Owners = []Owner{{ID: "a"}} })}, 1,
			"stop the owners: POST /live-store/prepare-downscale on each, then stop the process"},
		"prepared": {DrainInput{Partition: part("INACTIVE", func(p *Partition) { p.Owners = []Owner{{ID: "a"}} }), Prepared: true}, 1,
			"stop the process: it takes its ownership with it"},
		"everything": {DrainInput{Partition: part("ACTIVE", func(p *Partition) { p.Locked = true; p.Owners = []Owner{{ID: "a"}} }), Unshipped: 1}, 4,
			"ringctl partition deactivate 2"},
		"done": {DrainInput{Partition: part("INACTIVE", nil), Unshipped: -1, Horizon: time.Minute}, 0, "ringctl partition remove 2"},
	} {
		s := BuildDrainStatus(c.in, now)
		if len(s.Blocking) != c.blocking || s.Safe != (c.blocking == 0) || s.Next != c.next {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestPartitionProblems(t *testing.T) {
	d := partition.NewDesc()
	d.Partitions[0] = partition.Partition{ID: 0, State: partition.Inactive}
	d.Partitions[1] = partition.Partition{ID: 1, State: partition.Inactive}
	partition.AddOwner(d, "dead", 1, partition.OwnerActive, now)
	partition.AddOwner(d, "lost/7", 7, partition.OwnerActive, now)
	instances := ring.NewDesc()
	instances.Instances["dead"] = ring.Instance{ID: "dead", Zone: "a", Timestamp: now.Unix() - 999}
	instances.Instances["lost"] = ring.Instance{ID: "lost", Zone: "b", Timestamp: now.Unix()}
	v := BuildPartitionRing(d, instances, PartitionOptions{Lookup: ring.Config{HeartbeatTimeout: time.Minute}}, now)
	want := []string{"no partition is ACTIVE", "recent data cannot be read: partition 1", "INACTIVE without owners", "do not exist: lost/7"}
	if len(v.Problems) != len(want) {
		t.Fatalf("%q", v.Problems)
	}
	for n, w := range want {
		if !strings.Contains(v.Problems[n], w) {
			t.Errorf("problem %d is %q, want %q", n, v.Problems[n], w)
		}
	}
	if o := v.Orphans[0]; o.Instance != "lost" || o.Zone != "b" || o.Health != Healthy {
		t.Errorf("orphan: %+v", o)
	}
}

func BenchmarkBuildRing(b *testing.B) {
	d := ring.NewDesc()
	for i := range 1000 {
		id := fmt.Sprintf("i-%d", i)
		tokens := make([]uint32, 512)
		for k := range tokens {
			tokens[k] = uint32(k)<<23 + uint32(i)*8387
		}
		d.Instances[id] = ring.Instance{ID: id, Zone: string(rune('a' + i%3)), Timestamp: now.Unix(), Tokens: tokens}
	}
	o := RingOptions{Lookup: ring.Config{ReplicationFactor: 3, ZoneAwareness: true, HeartbeatTimeout: time.Minute}}
	for b.Loop() {
		BuildRing(d, o, now)
	}
}
