package engine

import (
	"context"
	"time"

	"github.com/ringctl/ringctl/engine/distributor"
	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/peer"
	"github.com/ringctl/ringctl/engine/peer/peerpb"
	"github.com/ringctl/ringctl/engine/receiver"
	"github.com/ringctl/ringctl/engine/ring"
)

// pusher pushes over the network, or within the process to its own keepers.
type pusher struct{ peers *peer.Client }

func (p pusher) Push(ctx context.Context, path distributor.Path, to *ring.Instance, tenantID string, otlp []byte) error {
	role := peerpb.Role_ROLE_INGESTER
	if path == distributor.Partitions {
		role = peerpb.Role_ROLE_LIVE_STORE
	}
	return p.peers.Push(ctx, to.Addr, role, tenantID, otlp)
}

func (p pusher) Local(to *ring.Instance) bool { return p.peers.Local(to.Addr) }

// maxInflight bounds the exports that a distributor works on at once.
const maxInflight = 256 << 20

// openWrite puts the way in together: receiver, distributor, and the rings it
// places by.
func (e *Engine) openWrite() error {
	if !e.cfg.Has(TargetDistributor) {
		return nil
	}
	self, err := e.rings.join(ringDistributor, e.cfg.Distributor.Ring, nil)
	if err != nil {
		return err
	}
	keepers, err := e.rings.watchKeepers(&e.cfg)
	if err != nil {
		return err
	}
	e.take()
	d := distributor.New(distributor.Config{
		Path: distributor.Path(e.cfg.Distributor.WritePath), PushTimeout: e.cfg.Distributor.Timeout, RetryHint: e.cfg.Distributor.RetryHint, MaxInflight: maxInflight,
	}, distributor.Deps{
		Ingesters: keepers.ingesters, LiveStores: keepers.liveStores, Partitions: keepers.partitions, Pusher: pusher{e.peers},
		Limits: e.limits.limits, Peers: func() int { return healthy(self) }, Now: time.Now, Log: e.log, Registerer: e.reg,
	})
	e.parts = append(e.parts, part{"distributor", func(ctx context.Context) error {
		<-ctx.Done()
		d.Close()
		return nil
	}})
	rc := e.cfg.Distributor.Receivers
	e.receiver, err = receiver.Open(receiver.Config{
		GRPCEndpoint: rc.OTLP.Protocols.GRPC.Endpoint, HTTPEndpoint: rc.OTLP.Protocols.HTTP.Endpoint, MaxMessage: rc.MaxMessageBytes, MultiTenant: e.cfg.MultiTenant,
	}, func(ctx context.Context, tenantID string, otlp []byte) (receiver.Outcome, error) {
		out, err := d.Push(ctx, tenantID, otlp)
		return receiver.Outcome(out), err
	}, e.log, e.reg)
	e.receive = func(ctx context.Context) error {
		defer context.AfterFunc(ctx, d.Hurry)()
		return e.receiver.Run(ctx)
	}
	return err
}

// healthy counts the healthy members of the ring that i is in.
func healthy(i *membership.Instance) int {
	rs, err := i.Ring().AllHealthy(ring.WriteNoExtend, time.Now())
	if err != nil {
		return 1
	}
	return len(rs.Instances)
}
