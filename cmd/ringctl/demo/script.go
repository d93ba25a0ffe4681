package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/ringctl/ringctl/client"
)

// show is what the script works with.
type show struct {
	c        *cluster
	cl       *client.Client
	out      io.Writer
	traffic  *traffic
	frontend string
	quiet    func() // ends the traffic, when what is under way is answered
}

// step prints what is done and whether it was true.
func (d *show) step(name string, f func() (string, error)) error {
	said, err := f()
	if err != nil {
		fmt.Fprintf(d.out, "  ✗ %s: %v\n", name, err)
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(d.out, "  ✓ %s: %s\n", name, said)
	return nil
}

const (
	patience  = 2 * time.Minute // for anything the cluster should do by itself
	lookAgain = 100 * time.Millisecond
)

// until looks again and again until f is true; f says what is still wrong.
func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// refusal is an answer other than 200.
type refusal struct {
	code         int
	status, says string
}

func (r *refusal) Error() string { return r.status + ": " + r.says }

// busy tells whether an error says only that somebody was not there in time, as
// when the whole machine pauses. What a complete answer gets wrong is no such error.
func busy(err error) bool {
	var r *refusal
	if errors.As(err, &r) {
		switch r.code {
		case http.StatusPartialContent, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var broken *url.Error // no answer at all
	return errors.As(err, &broken)
}

// untilTaken does something again as long as the cluster is too busy for it.
func untilTaken(ctx context.Context, f func() error) error {
	var final error
	err := until(ctx, func() error {
		err := f()
		if busy(err) {
			return err
		}
		final = err
		return nil
	})
	return errors.Join(err, final)
}

// settle waits until every ring is complete and both write paths take spans.
func (d *show) settle(ctx context.Context) error {
	err := until(ctx, func() error {
		for _, n := range d.c.nodes {
			if err := d.get(ctx, "http://"+n.addrs["http"]+"/ready", "", nil); err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
		}
		s, err := d.cl.Snapshot(ctx)
		if err != nil {
			return err
		}
		return complete(s)
	})
	if err != nil {
		return fmt.Errorf("the cluster did not become ready: %w", err)
	}
	return nil
}

// complete is nil when every member of the layout is in its ring and both
// partitions are active with three owners.
func complete(s *client.Snapshot) error {
	for name, want := range map[string]int{"ingester": 3, "live-store": 6, "querier": 1} {
		r, ok := s.Ring(name)
		if !ok || r.States["ACTIVE"] != want || r.HealthyCount != want {
			return fmt.Errorf("ring %s is not complete", name)
		}
	}
	if len(s.PartitionRings) == 0 {
		return errors.New("no partition ring")
	}
	for _, p := range s.PartitionRings[0].Partitions {
		if p.State != "ACTIVE" || p.HealthyOwners != 3 {
			return fmt.Errorf("partition %d is %s with %d healthy owners", p.ID, p.State, p.HealthyOwners)
		}
	}
	return nil
}

// script is the demo without a terminal.
func (d *show) script(ctx context.Context) error {
	if err := d.step("status", func() (string, error) { return d.status(ctx) }); err != nil {
		return err
	}
	for _, tenant := range []string{tenantReplicated, tenantPartitions} {
		if err := d.step("find by id ("+tenant+" path)", func() (string, error) {
			return d.writeAndFind(ctx, tenant)
		}); err != nil {
			return err
		}
	}
	const victim = "ingester-b"
	steps := []struct {
		name string
		f    func() (string, error)
	}{
		{"kill -9 " + victim, func() (string, error) { return d.kill(ctx, victim) }},
		{"write with a dead member", func() (string, error) {
			return d.writeAndFind(ctx, tenantReplicated)
		}},
		{"forget " + victim, func() (string, error) { return d.forget(ctx, victim) }},
		{"partition 1 inactive", func() (string, error) { return d.deactivate(ctx, 1) }},
		{"every acknowledged trace is found whole", func() (string, error) { return d.findAll(ctx) }},
	}
	for _, s := range steps {
		if err := d.step(s.name, s.f); err != nil {
			return err
		}
	}
	return nil
}

func (d *show) status(ctx context.Context) (string, error) {
	var s *client.Snapshot
	err := until(ctx, func() (err error) { s, err = d.cl.Snapshot(ctx); return err })
	if err != nil {
		return "", err
	}
	said := fmt.Sprintf("%d gossip members", len(s.Members))
	for _, r := range s.Rings {
		said += fmt.Sprintf("; %s %d/%d healthy", r.Name, r.HealthyCount, len(r.Instances))
	}
	for _, p := range s.PartitionRings {
		said += fmt.Sprintf("; %s %d active", p.Name, p.States["ACTIVE"])
	}
	return said, nil
}

// writeAndFind writes one trace and reads it back by its id, at once.
func (d *show) writeAndFind(ctx context.Context, tenant string) (said string, err error) {
	dice := newTraffic("", uint64(time.Now().UnixNano()))
	t := &traffic{url: d.traffic.url, client: d.traffic.client}
	err = untilTaken(ctx, func() error {
		id, otlp, spans := dice.newTrace()
		if err := t.send(ctx, tenant, otlp, spans); err != nil {
			return fmt.Errorf("send a trace: %w", err)
		}
		said = fmt.Sprintf("%s, %d spans", id, spans)
		return d.find(ctx, kept{tenant, id, spans})
	})
	return said, err
}

// find finds a trace by id and counts its spans.
func (d *show) find(ctx context.Context, k kept) error {
	var body bytes.Buffer
	if err := d.get(ctx, d.frontend+"/api/traces/"+k.id.String(), k.tenant, &body); err != nil {
		return fmt.Errorf("trace %s: %w", k.id, err)
	}
	if n := bytes.Count(body.Bytes(), []byte(`"spanId"`)); n != k.spans {
		return fmt.Errorf("trace %s came back with %d of %d spans", k.id, n, k.spans)
	}
	return nil
}

// findAll finds every trace of the traffic that was acknowledged, also those
// written while a member was dead and before a partition became inactive.
func (d *show) findAll(ctx context.Context) (string, error) {
	d.quiet()
	sent, acked, refused := d.traffic.sent.Load(), d.traffic.acked.Load(), d.traffic.failed.Load()
	all, spans := d.traffic.acknowledged(), 0
	for _, k := range all {
		if err := untilTaken(ctx, func() error { return d.find(ctx, k) }); err != nil {
			return "", err
		}
		spans += k.spans
	}
	return fmt.Sprintf("%d spans sent, %d acknowledged, %d exports refused; %d traces with %d spans found", sent, acked, refused, len(all), spans), nil
}

// get reads a page into body; anything but 200 is an error.
func (d *show) get(ctx context.Context, url, tenant string, body *bytes.Buffer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	if tenant != "" {
		req.Header.Set("X-Scope-OrgID", tenant)
	}
	resp, err := d.traffic.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &refusal{resp.StatusCode, resp.Status, string(bytes.TrimSpace(text[:min(len(text), 300)]))}
	}
	if body != nil {
		body.Write(text)
	}
	return nil
}

// kill kills a node and waits until the ring shows it unhealthy.
func (d *show) kill(ctx context.Context, name string) (string, error) {
	d.c.node(name).kill()
	began := time.Now()
	err := until(ctx, func() error {
		i, err := d.instance(ctx, name)
		if err == nil && i.Health == client.Healthy {
			return errors.New("it is still shown healthy")
		}
		return err
	})
	return fmt.Sprintf("seen unhealthy after %.1f s", time.Since(began).Seconds()), err
}

func (d *show) instance(ctx context.Context, name string) (*client.Instance, error) {
	s, err := d.cl.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	r, ok := s.Ring("ingester")
	if !ok {
		return nil, errors.New("no ingester ring")
	}
	i, ok := r.Instance(name)
	if !ok {
		return nil, fmt.Errorf("%s is not in the ring", name)
	}
	return i, nil
}

// forget forgets a dead node and makes sure that it stays away.
func (d *show) forget(ctx context.Context, name string) (string, error) {
	var plan *client.Plan
	err := until(ctx, func() (err error) { // until no member takes it for alive
		if plan, err = d.cl.PlanForget(ctx, client.ForgetRequest{Ring: "ingester", IDs: []string{name}}); err != nil {
			return err
		}
		return plan.Allowed(false)
	})
	if err != nil {
		return "", err
	}
	res, err := d.cl.Apply(ctx, plan, client.ApplyOptions{Wait: patience})
	if err != nil {
		return "", err
	}
	views, err := d.cl.Views(ctx)
	if len(views) == 0 {
		return "", err
	}
	for _, v := range views {
		if r, ok := v.Ring("ingester"); ok {
			if _, back := r.Instance(name); back {
				return "", fmt.Errorf("%s still sees it", v.From)
			}
		}
	}
	return fmt.Sprintf("%d of %d members agree after %.2f s, gone from all %d views", res.Converged, res.Total, time.Duration(res.Took).Seconds(), len(views)), nil
}

// deactivate makes a partition inactive and checks that its writes stop.
func (d *show) deactivate(ctx context.Context, id int32) (string, error) {
	var plan *client.Plan
	err := until(ctx, func() (err error) {
		if plan, err = d.cl.PlanPartition(ctx, client.PartitionRequest{Partition: id, Action: client.Deactivate}); err != nil {
			return err
		}
		return plan.Allowed(false)
	})
	if err != nil {
		return "", err
	}
	res, err := d.cl.Apply(ctx, plan, client.ApplyOptions{Wait: patience})
	if err != nil {
		return "", err
	}
	err = until(ctx, func() error {
		s, err := d.cl.Snapshot(ctx)
		if err != nil {
			return err
		}
		p, ok := s.PartitionRings[0].Partition(id)
		if !ok || p.State != "INACTIVE" || p.Traffic != 0 {
			return fmt.Errorf("partition %d is %s and gets %.1f %% of the writes", id, p.State, p.Traffic)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of %d members agree after %.2f s, its writes go elsewhere", res.Converged, res.Total, time.Duration(res.Took).Seconds()), nil
}
