package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// The downscale endpoints concern this process and its own partition only. They pass the same gate as all
// changes; because rollout tools often send no credential, Config.DownscaleWithoutCredential lets those
// requests, and only those, through without one. The reason may be given as ?reason=.

// partitionState is the answer of /live-store/prepare-partition-downscale.
type partitionState struct {
	// Timestamp is when the partition became INACTIVE, in Unix seconds; 0 in any other state.
	Timestamp int64  `json:"timestamp"`
	State     string `json:"state"`
}

// preparePartitionDownscale shows the own partition's state (GET), makes it INACTIVE (POST) or ACTIVE again
// (DELETE).
func (c *Control) preparePartitionDownscale(w http.ResponseWriter, r *http.Request) {
	d := c.cfg.Downscaler
	part, ok := d.Current()
	if !ok {
		c.fail(w, r, "", &ringapi.Error{Code: ringapi.CodeUnavailable, Ring: d.Key(), Message: "the own partition is not in the ring yet"})
		return
	}
	switch r.Method {
	case http.MethodGet:
		writeJSON(w, http.StatusOK, stateOfPartition(part))
	case http.MethodPost:
		if part.State == partition.Pending {
			c.fail(w, r, "", &ringapi.Error{Code: ringapi.CodeNotAllowed, Subject: partitionSubject(part.ID),
				Message: "it is PENDING and cannot be prepared for a downscale", Hint: "wait until it is ACTIVE"})
			return
		}
		c.movePartition(w, r, "prepare-partition-downscale", partition.Inactive)
	case http.MethodDelete:
		if part.State == partition.Pending {
			writeJSON(w, http.StatusOK, stateOfPartition(part)) // nothing was prepared
			return
		}
		c.movePartition(w, r, "cancel-partition-downscale", partition.Active)
	default:
		c.methodNotAllowed(w, r)
	}
}

// movePartition changes the own partition's state and answers with the new one. The snapshot may not show it
// yet, so the answer is what was written.
func (c *Control) movePartition(w http.ResponseWriter, r *http.Request, action string, to partition.State) {
	d := c.cfg.Downscaler
	before, _ := d.Current()
	after := before
	if before.State != to {
		after.State, after.StateTimestamp = to, max(c.now().Unix(), before.StateTimestamp+1)
	}
	e := edit{before: linePartition(before), after: linePartition(after), changed: before.State != to}
	if c.ownChange(w, r, action, e, func(ctx context.Context) error {
		err := d.ChangeState(ctx, to)
		if errors.Is(err, partition.ErrLocked) || errors.Is(err, partition.ErrNotAllowed) || errors.Is(err, partition.ErrDoesNotExist) {
			return partitionError(partitionSubject(before.ID), before, to.String(), err)
		}
		return err
	}) {
		writeJSON(w, http.StatusOK, stateOfPartition(after))
	}
}

func stateOfPartition(p partition.Partition) partitionState {
	s := partitionState{State: p.State.String()}
	if p.State == partition.Inactive {
		s.Timestamp = p.StateTimestamp
	}
	return s
}

// prepareDownscale tells whether the next stop of this process is its last (GET: set or unset), makes it so
// (POST), or takes that back (DELETE).
func (c *Control) prepareDownscale(w http.ResponseWriter, r *http.Request) {
	d := c.cfg.Downscaler
	text := "unset"
	if d.DownscalePrepared() {
		text = "set"
	}
	switch r.Method {
	case http.MethodGet:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text)) // the client is gone; nobody to tell
	case http.MethodPost:
		if c.ownChange(w, r, "prepare-downscale", edit{before: text, after: "set", changed: text != "set"}, func(ctx context.Context) error {
			err := d.PrepareDownscale(ctx)
			if errors.Is(err, membership.ErrNotInactive) || errors.Is(err, partition.ErrDoesNotExist) {
				return &ringapi.Error{Code: ringapi.CodeNotAllowed, Message: err.Error()}
			}
			return err
		}) {
			w.WriteHeader(http.StatusNoContent)
		}
	case http.MethodDelete:
		if c.ownChange(w, r, "cancel-downscale", edit{before: text, after: "unset", changed: text != "unset"}, d.CancelDownscale) {
			w.WriteHeader(http.StatusNoContent)
		}
	default:
		c.methodNotAllowed(w, r)
	}
}

// ownChange makes and records the change e of this process's own partition. It answers a failure itself.
func (c *Control) ownChange(w http.ResponseWriter, r *http.Request, action string, e edit, run func(context.Context) error) bool {
	actor, err := c.admitOwn(r)
	if err == nil {
		reason := r.URL.Query().Get("reason")
		if reason == "" || ringapi.ValidateReason(reason) != nil {
			reason = r.Method + " " + r.URL.Path
		}
		_, err = c.perform(r, actor, attempt{
			action: action, ring: c.cfg.Downscaler.Key(), subject: "own partition", reason: reason,
			run: func(ctx context.Context, _ time.Time) (edit, string, error) {
				if err := run(ctx); err != nil {
					return edit{before: e.before}, "", err
				}
				return e, "", nil
			},
		})
	}
	if err != nil {
		c.fail(w, r, "", err)
		return false
	}
	return true
}

// admitOwn passes a downscale request through the gate.
func (c *Control) admitOwn(r *http.Request) (string, error) {
	if actor := c.gate.certificate(r); actor != "" {
		return actor, c.gate.sameSite(r)
	}
	if c.cfg.DownscaleWithoutCredential && r.Header.Get("Authorization") == "" {
		return "rollout", c.gate.sameSite(r)
	}
	return c.admit(r)
}

func (c *Control) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, POST, DELETE")
	c.fail(w, r, "", &ringapi.Error{Code: ringapi.CodeMethod, Message: r.Method + " is not possible here"})
}
