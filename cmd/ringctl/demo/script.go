package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/trace"
)

// show is what the script works with.
type show struct {
	c        *cluster
	cl       *client.Client
	out      io.Writer
	traffic  *traffic
	frontend string
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
	patience  = 60 * time.Second // for anything the cluster should do by itself
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
	var early trace.ID
	for _, tenant := range []string{tenantReplicated, tenantPartitions} {
		if err := d.step("find by id ("+tenant+" path)", func() (string, error) {
			id, said, err := d.writeAndFind(ctx, tenant)
			early = id
			return said, err
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
			_, said, err := d.writeAndFind(ctx, tenantReplicated)
			return said, err
		}},
		{"forget " + victim, func() (string, error) { return d.forget(ctx, victim) }},
		{"partition 1 inactive", func() (string, error) { return d.deactivate(ctx, 1) }},
		{"its data stays readable", func() (string, error) { return d.find(ctx, tenantPartitions, early) }},
		{"acknowledged spans", func() (string, error) {
			return fmt.Sprintf("%d of %d sent, %d exports refused", d.traffic.acked.Load(), d.traffic.sent.Load(), d.traffic.failed.Load()), nil
		}},
	}
	for _, s := range steps {
		if err := d.step(s.name, s.f); err != nil {
			return err
		}
	}
	return nil
}

func (d *show) status(ctx context.Context) (string, error) {
	s, err := d.cl.Snapshot(ctx)
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
func (d *show) writeAndFind(ctx context.Context, tenant string) (trace.ID, string, error) {
	id, otlp, spans := newTraffic("", uint64(time.Now().UnixNano())).newTrace()
	if err := d.traffic.send(ctx, tenant, otlp, spans); err != nil {
		return id, "", fmt.Errorf("send a trace: %w", err)
	}
	said, err := d.find(ctx, tenant, id)
	return id, fmt.Sprintf("%s, %d spans", said, spans), err
}

func (d *show) find(ctx context.Context, tenant string, id trace.ID) (string, error) {
	var body bytes.Buffer
	if err := d.get(ctx, d.frontend+"/api/traces/"+id.String(), tenant, &body); err != nil {
		return "", err
	}
	if !bytes.Contains(body.Bytes(), []byte("gateway")) {
		return "", fmt.Errorf("trace %s came back without its root", id)
	}
	return "found " + id.String(), nil
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
	defer resp.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text[:min(len(text), 300)]))
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
	res, err := d.cl.Forget(ctx, client.ForgetRequest{Ring: "ingester", IDs: []string{name}}, false)
	if err != nil {
		return "", err
	}
	views, err := d.cl.Views(ctx)
	if err != nil {
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
	plan, err := d.cl.PlanPartition(ctx, client.PartitionRequest{Partition: id, Action: client.Deactivate})
	if err != nil {
		return "", err
	}
	res, err := d.cl.Apply(ctx, plan, client.ApplyOptions{Wait: patience})
	if err != nil {
		return "", err
	}
	s, err := d.cl.Snapshot(ctx)
	if err != nil {
		return "", err
	}
	p, ok := s.PartitionRings[0].Partition(id)
	if !ok || p.State != "INACTIVE" || p.Traffic != 0 {
		return "", fmt.Errorf("partition %d is %s and gets %.1f %% of the writes", id, p.State, p.Traffic)
	}
	return fmt.Sprintf("%d of %d members agree after %.2f s, its writes go elsewhere", res.Converged, res.Total, time.Duration(res.Took).Seconds()), nil
}
