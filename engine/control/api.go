package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/ringctl/ringctl/engine/ringapi"
)

// apiRoutes adds the control API.
func (c *Control) apiRoutes(mux *http.ServeMux) {
	get := func(pattern string, answer func(r *http.Request) (any, error)) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := answer(r)
			if err != nil {
				c.fail(w, r, "", err)
				return
			}
			writeJSON(w, http.StatusOK, v)
		})
	}
	get(ringapi.PatternRings, c.apiRings)
	get(ringapi.PatternRing, c.apiRing)
	get(ringapi.PatternPartitionRing, c.apiPartitionRing)
	get(ringapi.PatternPartition, c.apiPartition)
	get(ringapi.PatternPartitionDrain, c.apiDrain)
	c.post(mux, ringapi.PatternForget, c.apiForget)
	c.post(mux, ringapi.PatternPartition, c.apiChangePartition)
	c.post(mux, ringapi.PatternPartitionRemove, c.apiRemovePartition)
	c.post(mux, ringapi.PatternOwnerRemove, c.apiRemoveOwner)
	mux.HandleFunc(ringapi.Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, "", &ringapi.Error{Code: ringapi.CodeNotFound, Message: r.Method + " " + r.URL.Path + " is not part of this API"})
	})
}

// post adds a change: gate, body, attempt.
func (c *Control) post(mux *http.ServeMux, pattern string, build func(r *http.Request) (attempt, error)) {
	mux.HandleFunc("POST "+pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, ringapi.MaxRequest)
		actor, err := c.admit(r)
		var a attempt
		if err == nil {
			a, err = build(r)
		}
		var change ringapi.Change
		if err == nil {
			change, err = c.perform(r, actor, a)
		}
		if err != nil {
			c.fail(w, r, "", err)
			return
		}
		writeJSON(w, http.StatusOK, change)
	})
}

// decode reads a request body strictly: a misspelled field must not be ignored where it changes a ring.
func decode(r *http.Request, v interface{ Validate() error }) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more behind the first JSON value")
		}
	}
	if err != nil {
		return &ringapi.Error{Code: ringapi.CodeInvalid, Message: "read the request: " + err.Error()}
	}
	return v.Validate()
}

func (c *Control) apiRings(r *http.Request) (any, error) {
	list := ringapi.RingList{Server: c.cfg.Server, Now: c.now().UTC(), Writable: c.gate.open(), Rings: []ringapi.RingSummary{}}
	for i := range c.cfg.Rings {
		list.Rings = append(list.Rings, c.summary(r.Context(), &c.cfg.Rings[i]))
	}
	for i := range c.cfg.PartitionRings {
		list.Rings = append(list.Rings, c.partitionSummary(r.Context(), &c.cfg.PartitionRings[i]))
	}
	return list, nil
}

func (c *Control) summary(ctx context.Context, r *Ring) ringapi.RingSummary {
	s := ringapi.RingSummary{Key: r.Key, Name: r.Name, Kind: ringapi.KindRing, Page: r.Path, States: map[string]int{}}
	d, err := r.load(ctx)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	v := ringapi.BuildRing(d, r.options(false), c.now())
	s.Members, s.Healthy, s.States, s.Hash, s.Problems = len(v.Instances), v.Healthy, v.States, v.Hash, v.Problems
	return s
}

func (c *Control) partitionSummary(ctx context.Context, r *PartitionRing) ringapi.RingSummary {
	s := ringapi.RingSummary{Key: r.Key, Name: r.Name, Kind: ringapi.KindPartitionRing, Page: r.Path, States: map[string]int{}}
	v, err := c.partitionView(ctx, r, false)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Members, s.States, s.Hash, s.Problems = len(v.Partitions), v.States, v.Hash, v.Problems
	for _, p := range v.Partitions {
		if p.HealthyOwners > 0 {
			s.Healthy++
		}
	}
	return s
}

func (c *Control) apiRing(req *http.Request) (any, error) {
	r, err := c.ring(req.PathValue("ring"))
	if err != nil {
		return nil, err
	}
	d, err := r.load(req.Context())
	if err != nil {
		return nil, err
	}
	return ringapi.BuildRing(d, r.options(req.URL.Query().Get("tokens") == "true"), c.now()), nil
}

func (c *Control) apiPartitionRing(req *http.Request) (any, error) {
	r, err := c.partitionRing(req.PathValue("ring"))
	if err != nil {
		return nil, err
	}
	return c.partitionView(req.Context(), r, req.URL.Query().Get("tokens") == "true")
}

// onePartition finds the partition that a path names.
func (c *Control) onePartition(req *http.Request) (ringapi.Partition, error) {
	r, id, err := c.partitionPath(req)
	if err != nil {
		return ringapi.Partition{}, err
	}
	v, err := c.partitionView(req.Context(), r, req.URL.Query().Get("tokens") == "true")
	if err != nil {
		return ringapi.Partition{}, err
	}
	for _, p := range v.Partitions {
		if p.ID == id {
			return p, nil
		}
	}
	return ringapi.Partition{}, &ringapi.Error{Code: ringapi.CodeNotFound, Ring: r.Key, Subject: partitionSubject(id), Message: "no such partition"}
}

func (c *Control) apiPartition(req *http.Request) (any, error) { return c.onePartition(req) }

func (c *Control) apiDrain(req *http.Request) (any, error) {
	p, err := c.onePartition(req)
	if err != nil {
		return nil, err
	}
	in := ringapi.DrainInput{Partition: p, Unshipped: -1, Horizon: c.cfg.QueryHorizon}
	if c.owns(p.ID) {
		in.Prepared = c.cfg.Downscaler.DownscalePrepared()
		if c.cfg.Keeper != nil {
			in.Unshipped = c.cfg.Keeper.UnshippedBytes()
		}
	}
	return ringapi.BuildDrainStatus(in, c.now()), nil
}

// owns tells whether a partition is this process's own.
func (c *Control) owns(id int32) bool {
	if c.cfg.Downscaler == nil {
		return false
	}
	own, ok := c.cfg.Downscaler.Current()
	return ok && own.ID == id
}

func (c *Control) apiForget(req *http.Request) (attempt, error) {
	r, err := c.ring(req.PathValue("ring"))
	if err != nil {
		return attempt{}, err
	}
	var f ringapi.ForgetRequest
	err = decode(req, &f)
	return c.forgetAttempt(r, f), err
}

func (c *Control) apiChangePartition(req *http.Request) (attempt, error) {
	r, id, err := c.partitionPath(req)
	if err != nil {
		return attempt{}, err
	}
	var f ringapi.PartitionRequest
	err = decode(req, &f)
	return c.partitionAttempt(r, id, f), err
}

func (c *Control) apiRemovePartition(req *http.Request) (attempt, error) {
	r, id, err := c.partitionPath(req)
	if err != nil {
		return attempt{}, err
	}
	var f ringapi.PartitionRemoveRequest
	err = decode(req, &f)
	return c.partitionRemoveAttempt(r, id, f), err
}

func (c *Control) apiRemoveOwner(req *http.Request) (attempt, error) {
	r, err := c.partitionRing(req.PathValue("ring"))
	if err != nil {
		return attempt{}, err
	}
	var f ringapi.OwnerRemoveRequest
	err = decode(req, &f)
	return c.ownerRemoveAttempt(r, f), err
}

// partitionPath reads ring and partition from a path.
func (c *Control) partitionPath(req *http.Request) (*PartitionRing, int32, error) {
	r, err := c.partitionRing(req.PathValue("ring"))
	if err != nil {
		return nil, 0, err
	}
	id, err := parsePartition(req.PathValue("partition"))
	return r, id, err
}
