package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// condition decides whether what is waited for is true; otherwise it says what is missing.
type condition func(views []*client.Snapshot) (ok bool, missing string)

const waitLong = `Wait until a condition is true in the view of every member, and stays so for --stable-for. What does not exist yet is waited for;
what is already gone is fine; at least one real observation is needed. On timeout (exit code 7) the last thing missing is said.

Conditions (several --for must all be true):
  healthy                no ring has a problem worse than allowed by --allow
  converged              all members see the same rings, and all answer
  joined=MEMBER          the member is ACTIVE and healthy in --ring, or in any ring
  gone=MEMBER            the member is in no ring (or not in --ring)
  members=N              --ring has at least N healthy members
  partition/ID=STATE     the partition has that state: PENDING, ACTIVE, INACTIVE or gone`

func (a *app) waitCommand() *cobra.Command {
	var want []string
	var ringName, allow string
	var stable, limit time.Duration
	var reachedOnly bool
	c := &cobra.Command{
		Use:     "wait",
		Short:   "Wait until something is true, and stays so",
		Long:    waitLong,
		Example: "  ringctl wait --for=healthy --stable-for 30s\n  ringctl wait --for=joined=ingester-3 --ring ingester\n  ringctl wait --for=partition/3=INACTIVE --for=converged --max 2m",
		RunE: func(c *cobra.Command, _ []string) error {
			var all []condition
			for _, w := range want {
				cond, err := parseCondition(w, ringName, allow)
				if err != nil {
					return err
				}
				all = append(all, cond)
			}
			if len(all) == 0 {
				return usage("--for is missing; see ringctl wait --help for the conditions")
			}
			if stable >= limit {
				return usage("it cannot stay true for %s (--stable-for) within %s (--max)", stable, limit)
			}
			ctx, cancel := context.WithTimeout(c.Context(), limit)
			defer cancel()
			return a.await(ctx, all, waiting{stable: stable, reachedOnly: reachedOnly}, limit)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&want, "for", nil, "the `condition`; may be repeated")
	f.StringVar(&ringName, "ring", "", "the `ring` that the condition is about")
	f.StringVar(&allow, "allow", "ok", "the worst verdict that counts as healthy: ok or warning")
	f.DurationVar(&stable, "stable-for", 0, "it must stay true for this long")
	f.DurationVar(&limit, "max", 5*time.Minute, "give up after this time")
	f.BoolVar(&reachedOnly, "reached-only", false, "members that cannot be reached from here do not count, for a look through a tunnel")
	f.DurationVar(&a.flags.interval, "interval", 0, "how often to look (default 5s)")
	_ = c.RegisterFlagCompletionFunc("ring", a.completeAnyRing)
	return c
}

// await waits and prints the result.
func (a *app) await(ctx context.Context, all []condition, w waiting, limit time.Duration) error {
	views, held, err := a.holds(ctx, all, w, limit)
	if err != nil {
		return err
	}
	return a.print(waitDocument(views, held))
}

// holds polls all views until all conditions were true for a while without a break. It returns the last views and for how
// long it was true.
func (a *app) holds(ctx context.Context, all []condition, w waiting, limit time.Duration) ([]*client.Snapshot, time.Duration, error) {
	cl, err := a.client(ctx)
	if err != nil {
		return nil, 0, err
	}
	every := max(or(a.flags.interval, 5*time.Second), 100*time.Millisecond)
	if w.stable > 0 {
		every = min(every, max(w.stable/2, 100*time.Millisecond))
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	w.app, w.last = a, "no member gave a view"
	looking, stop := untilInterrupted(ctx) // the first look is finished: it may be the only one
	defer stop()
	for ; ; looking = ctx {
		views, err := cl.Views(looking)
		if w.look(looking, all, views, err) {
			return views, time.Since(w.since).Truncate(time.Millisecond), nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, 0, w.timeout(ctx, limit)
		}
	}
}

// untilInterrupted is ctx without its deadline.
func untilInterrupted(ctx context.Context) (context.Context, func()) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return out, func() {
		stop()
		cancel()
	}
}

// waiting is how far a wait is.
type waiting struct {
	*app
	stable time.Duration
	// reachedOnly leaves members that give no view out of account.
	reachedOnly bool
	since       time.Time // start of the unbroken row of good looks; zero while it is not true
	last, said  string
	seen        bool
}

// look judges one round of views; true ends the wait.
func (w *waiting) look(ctx context.Context, all []condition, views []*client.Snapshot, err error) bool {
	missing := ""
	if len(views) == 0 {
		missing = fmt.Sprint(err)
	} else {
		w.seen = true
		if w.reachedOnly {
			err = nil
		}
		missing = unmet(all, views, err)
	}
	if missing == "" {
		if w.since.IsZero() {
			w.since = time.Now()
		}
		held := time.Since(w.since)
		if held >= w.stable {
			return true
		}
		w.last = fmt.Sprintf("true for %s of %s", held.Round(time.Second), w.stable)
		return false
	}
	w.since = time.Time{}
	if deadline, ok := ctx.Deadline(); ctx.Err() != nil || ok && !time.Now().Before(deadline) {
		return false // the views are missing because the time is up, which connections notice before the context does
	}
	w.last = missing
	if missing != w.said {
		w.said = missing
		w.say("waiting: %s", missing)
	}
	return false
}

func (w *waiting) timeout(ctx context.Context, limit time.Duration) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	code := client.CodeTimeout
	if !w.seen {
		code = client.CodeNoView
	}
	return &client.Error{Code: code, Op: "wait", Err: fmt.Errorf("not within %s: %s", limit, w.last)}
}

func unmet(all []condition, views []*client.Snapshot, err error) string {
	var missing []string
	for _, cond := range all {
		if ok, text := cond(views); !ok {
			missing = append(missing, text)
		}
	}
	if err != nil {
		missing = append(missing, err.Error())
	}
	return strings.Join(missing, "; ")
}

// waitResult is a document of kind WaitResult.
type waitResult struct {
	Views  int             `json:"views"`
	Stable client.Duration `json:"stableSeconds"`
}

func waitDocument(views []*client.Snapshot, stable time.Duration) *render.Document {
	where := fmt.Sprintf("all %d views", len(views))
	if len(views) == 1 {
		where = "the one view"
	}
	return &render.Document{Kind: "WaitResult", Data: waitResult{Views: len(views), Stable: client.Duration(stable)},
		Text: "true in " + where + "\n", Names: []string{"true"}}
}

func parseCondition(s, ringName, allow string) (condition, error) {
	name, arg, _ := strings.Cut(s, "=")
	switch {
	case name == "healthy" && arg == "":
		worst := client.OK.Rank()
		if strings.EqualFold(allow, "warning") {
			worst = client.Warning.Rank()
		} else if !strings.EqualFold(allow, "ok") {
			return nil, usage("--allow is ok or warning, not %q", allow)
		}
		return func(v []*client.Snapshot) (bool, string) { return healthyWithin(v, worst, ringName) }, nil
	case name == "converged" && arg == "":
		return func(v []*client.Snapshot) (bool, string) {
			r := document.ReportViews(v, nil)
			return r.Agreed, r.Disagreement()
		}, nil
	case name == "joined" && arg != "":
		return everyView(func(s *client.Snapshot) (bool, string) { return joined(s, ringName, arg) }), nil
	case name == "gone" && arg != "":
		return everyView(func(s *client.Snapshot) (bool, string) { return gone(s, ringName, arg) }), nil
	case name == "members":
		n, err := strconv.Atoi(arg)
		if err != nil || n < 0 || ringName == "" {
			return nil, usage("members=N needs a number and --ring")
		}
		return everyView(func(s *client.Snapshot) (bool, string) { return enough(s, ringName, n) }), nil
	case strings.HasPrefix(name, "partition/") && arg != "":
		id, err := strconv.ParseInt(strings.TrimPrefix(name, "partition/"), 10, 32)
		if err != nil || id < 0 {
			return nil, usage("%q does not name a partition", s)
		}
		if !slices.Contains(partitionStates(), strings.ToUpper(arg)) {
			return nil, usage("a partition is %s, never %q", strings.Join(partitionStates(), ", "), arg)
		}
		return everyView(func(s *client.Snapshot) (bool, string) { return partitionIs(s, ringName, int32(id), arg) }), nil
	}
	return nil, usage("unknown condition %q; they are healthy, converged, joined=MEMBER, gone=MEMBER, members=N, partition/ID=STATE", s)
}

// partitionStates are what a partition can be waited for to be.
func partitionStates() []string { return []string{"PENDING", "ACTIVE", "INACTIVE", "GONE"} }

// everyView is a condition that must hold in each view.
func everyView(f func(*client.Snapshot) (bool, string)) condition {
	return func(views []*client.Snapshot) (bool, string) {
		for _, v := range views {
			if ok, missing := f(v); !ok {
				return false, v.From + ": " + missing
			}
		}
		return true, ""
	}
}

func healthyWithin(views []*client.Snapshot, worst int, ringName string) (bool, string) {
	for _, v := range views {
		if ringName == "" && v.Verdict.Rank() > worst {
			return false, v.From + ": " + v.Problem
		}
		if ringName == "" {
			continue
		}
		verdict, problem := client.Unknown, "there is no ring "+ringName+" yet"
		if r, ok := v.Ring(ringName); ok {
			verdict, problem = r.Verdict, r.Problem
		} else if r, ok := v.PartitionRing(ringName); ok {
			verdict, problem = r.Verdict, r.Problem
		}
		if verdict.Rank() > worst {
			return false, v.From + ": " + problem
		}
	}
	return true, ""
}

func rings(s *client.Snapshot, name string) []*client.Ring {
	var out []*client.Ring
	for i := range s.Rings {
		if name == "" || s.Rings[i].Name == name || s.Rings[i].Key == name {
			out = append(out, &s.Rings[i])
		}
	}
	return out
}

func joined(s *client.Snapshot, ringName, id string) (bool, string) {
	missing := id + " is in no ring"
	for _, r := range rings(s, ringName) {
		i, ok := r.Instance(id)
		switch {
		case !ok:
		case i.State == "ACTIVE" && i.Health == client.Healthy:
			return true, ""
		default:
			missing = fmt.Sprintf("%s is %s and %s in %s", id, i.State, i.Health, r.Name)
		}
	}
	return false, missing
}

func gone(s *client.Snapshot, ringName, id string) (bool, string) {
	for _, r := range rings(s, ringName) {
		if i, ok := r.Instance(id); ok {
			return false, fmt.Sprintf("%s is still %s in %s", id, i.State, r.Name)
		}
	}
	return true, ""
}

func enough(s *client.Snapshot, ringName string, n int) (bool, string) {
	found := rings(s, ringName)
	if len(found) == 0 {
		return n == 0, "there is no ring " + ringName + " yet"
	}
	if r := found[0]; r.HealthyCount < n {
		return false, fmt.Sprintf("%s has %d healthy members of %d", r.Name, r.HealthyCount, n)
	}
	return true, ""
}

func partitionIs(s *client.Snapshot, ringName string, id int32, state string) (bool, string) {
	missing := fmt.Sprintf("there is no partition %d yet", id)
	if _, ok := s.PartitionRing(ringName); ringName != "" && !ok {
		missing = "there is no partition ring " + ringName + " yet"
	}
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		if ringName != "" && r.Name != ringName && r.Key != ringName {
			continue
		}
		if p, ok := r.Partition(id); ok {
			return strings.EqualFold(p.State, state), fmt.Sprintf("partition %d is %s", id, p.State)
		}
	}
	return strings.EqualFold(state, "gone"), missing
}
