package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// changeTimeout bounds one change.
const changeTimeout = 20 * time.Second

// attempt is a change that has passed the gate.
type attempt struct {
	action, ring, subject, reason string
	// run makes the change and gives the view hash afterwards.
	run func(ctx context.Context, now time.Time) (edit, string, error)
}

// admit passes a request through the gate. A refusal is logged, so that probing is seen.
func (c *Control) admit(r *http.Request) (string, error) {
	actor, err := c.gate.admit(r, c.now())
	if err != nil {
		c.changes.WithLabelValues("gate", "refused").Inc()
		c.log.WarnContext(r.Context(), "ring change over HTTP not admitted", "path", r.URL.Path, "remote", r.RemoteAddr, "err", err)
		return "", err
	}
	return actor, nil
}

// perform makes an admitted change and records it, whatever comes of it. A change that could not be
// recorded is not made.
func (c *Control) perform(r *http.Request, actor string, a attempt) (ringapi.Change, error) {
	rec := ringapi.Audit{
		Time: c.now().UTC(), Actor: actor, Remote: r.RemoteAddr, Server: c.cfg.Server,
		Action: a.action, Ring: a.ring, Subject: a.subject, Reason: a.reason,
	}
	if err := c.audit.check(); err != nil {
		return ringapi.Change{}, &ringapi.Error{Code: ringapi.CodeUnavailable, Ring: a.ring, Message: err.Error(),
			Hint: "a change that cannot be recorded is not made"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	e, hash, err := a.run(ctx, c.now())
	rec.Before, rec.After = e.before, e.after
	if err != nil {
		err = inRing(a.ring, err)
		rec.Error = err.Error()
	}
	result := "changed"
	switch {
	case err != nil:
		result = "refused"
	case !e.changed:
		result = "unchanged"
	}
	c.changes.WithLabelValues(a.action, result).Inc()
	if aerr := c.audit.write(context.WithoutCancel(r.Context()), rec); aerr != nil {
		c.log.ErrorContext(r.Context(), "change not recorded", "action", a.action, "err", aerr)
		e.warnings = append(e.warnings, "the change could not be recorded in the audit file")
	}
	return ringapi.Change{Changed: e.changed, Hash: hash, Warnings: e.warnings, Audit: rec}, err
}

// inRing makes sure that an error is a ringapi.Error and names its ring.
func inRing(key string, err error) error {
	e := *ringapi.AsError(err)
	if e.Ring == "" {
		e.Ring = key
	}
	return &e
}

func (c *Control) forgetAttempt(r *Ring, req ringapi.ForgetRequest) attempt {
	return attempt{action: "forget", ring: r.Key, subject: req.Instance, reason: req.Reason,
		run: func(ctx context.Context, now time.Time) (edit, string, error) {
			return editRing(ctx, r, func(d *ring.Desc) (edit, error) { return forget(d, req, r.Lookup, now) })
		}}
}

func (c *Control) partitionAttempt(r *PartitionRing, id int32, req ringapi.PartitionRequest) attempt {
	return attempt{action: "partition", ring: r.Key, subject: partitionSubject(id), reason: req.Reason,
		run: func(ctx context.Context, now time.Time) (edit, string, error) {
			return editPartitionRing(ctx, r, func(d *partition.Desc) (edit, error) { return changePartition(d, id, req, now) })
		}}
}

func (c *Control) partitionRemoveAttempt(r *PartitionRing, id int32, req ringapi.PartitionRemoveRequest) attempt {
	return attempt{action: "partition-remove", ring: r.Key, subject: partitionSubject(id), reason: req.Reason,
		run: func(ctx context.Context, now time.Time) (edit, string, error) {
			return editPartitionRing(ctx, r, func(d *partition.Desc) (edit, error) { return removePartition(d, id, now) })
		}}
}

func (c *Control) ownerRemoveAttempt(r *PartitionRing, req ringapi.OwnerRemoveRequest) attempt {
	return attempt{action: "owner-remove", ring: r.Key, subject: req.Owner, reason: req.Reason,
		run: func(ctx context.Context, now time.Time) (edit, string, error) {
			instances, err := c.rings[r.Instances].load(ctx)
			if err != nil {
				return edit{}, "", err
			}
			return editPartitionRing(ctx, r, func(d *partition.Desc) (edit, error) { return removeOwner(d, req, instances, now) })
		}}
}

// editRing runs a change of an instance ring as one compare-and-swap. A forgotten instance that had a
// heartbeat in this very second may make the store see no change; it is tried again by the store itself.
func editRing(ctx context.Context, r *Ring, change func(*ring.Desc) (edit, error)) (edit, string, error) {
	return editValue(ctx, membership.Rings(r.Store), r.Key, change)
}

func editPartitionRing(ctx context.Context, r *PartitionRing, change func(*partition.Desc) (edit, error)) (edit, string, error) {
	return editValue(ctx, membership.PartitionRings(r.Store), r.Key, change)
}

// hashed is a value that names its view. Both kinds of ring are.
type hashed interface {
	comparable
	TopologyHash() ring.Hash
}

// editValue runs a change as one compare-and-swap and gives the view hash of what is stored then.
func editValue[T hashed](ctx context.Context, store *kv.Typed[T], key string, change func(T) (edit, error)) (edit, string, error) {
	var e edit
	var hash string
	var refusal error
	err := store.CAS(ctx, key, func(d T) (T, bool, error) {
		var none T
		e, hash = edit{}, ""
		if d == none {
			refusal = &ringapi.Error{Code: ringapi.CodeNotFound, Ring: key, Message: "the ring has no value yet"}
			return none, false, refusal
		}
		e, refusal = change(d)
		if refusal != nil {
			return none, false, refusal
		}
		hash = d.TopologyHash().String()
		if !e.changed {
			return none, false, nil
		}
		return d, true, nil
	})
	if err != nil && (refusal == nil || !errors.Is(err, refusal)) {
		err = storeError(key, err)
	}
	if err != nil {
		e.changed = false
	}
	return e, hash, err
}
