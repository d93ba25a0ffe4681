package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// Ring is one instance ring to show.
type Ring struct {
	// Name is the short name in the API and in messages ("ingester"), Title the heading of the page.
	Name, Title string
	// Key is the ring's key in Store, Path the page's path ("/ingester/ring").
	Key, Path string
	Store     kv.Store
	// Lookup is the arithmetic in force: replication, zones, heartbeat timeout.
	Lookup ring.Config
}

// PartitionRing is one partition ring to show.
type PartitionRing struct {
	Name, Title, Key, Path string
	Store                  kv.Store
	// Instances is the Name of the Ring in which the owners are members.
	Instances string
}

// Downscaler is the process's own partition, for the downscale endpoints. *membership.Partition is one.
type Downscaler interface {
	// Key is the key of the partition ring, Current what the latest snapshot says of the own partition.
	Key() string
	Current() (partition.Partition, bool)
	ChangeState(ctx context.Context, to partition.State) error
	// PrepareDownscale refuses with membership.ErrNotInactive and leaves nothing behind then.
	PrepareDownscale(ctx context.Context) error
	CancelDownscale(ctx context.Context) error
	DownscalePrepared() bool
}

// Keeper tells what the drain status cannot see in a ring. Without one, Unshipped is unknown.
type Keeper interface {
	// UnshippedBytes is what this process holds that no block in the bucket has.
	UnshippedBytes() int64
}

// Config says what is shown and who may change it.
type Config struct {
	// Cluster is the name in the headings, Server this process's instance id.
	Cluster, Server string
	// Home is what the first page tells beside the rings.
	Home           Home
	Rings          []Ring
	PartitionRings []PartitionRing
	// Gossip is nil where the rings live in another store.
	Gossip Gossip
	// Downscaler and Keeper are nil on processes that own no partition.
	Downscaler Downscaler
	Keeper     Keeper
	// QueryHorizon is how long after a partition became INACTIVE its owners are still asked for recent
	// data; the drain status is computed with it.
	QueryHorizon time.Duration
	// TokenFile holds the bearer token for changes; ClientCertificates also lets verified certificates in.
	// With neither, nothing can be changed.
	TokenFile          string
	ClientCertificates bool
	// DownscaleWithoutCredential lets rollout tools call the downscale endpoints of this process without one.
	DownscaleWithoutCredential bool
	// AuditFile takes one JSON line per change. Empty: only the log.
	AuditFile string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Control serves the pages and the API. It is safe for concurrent use and starts nothing.
type Control struct {
	cfg     Config
	gate    gate
	audit   *auditor
	log     *slog.Logger
	now     func() time.Time
	changes *prometheus.CounterVec
	pages   map[string]*template.Template
	rings   map[string]*Ring          // by name and by key
	parts   map[string]*PartitionRing // by name and by key
}

// New checks the configuration and makes the handlers. reg may be nil.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Control, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	c := &Control{
		cfg: cfg, log: log, now: cfg.Now, audit: &auditor{log: log, path: cfg.AuditFile},
		gate:  gate{tokenFile: cfg.TokenFile, clientCerts: cfg.ClientCertificates, secret: secret, cross: http.NewCrossOriginProtection()},
		rings: map[string]*Ring{}, parts: map[string]*PartitionRing{},
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tempo_ring_admin_changes_total", Help: "Attempts to change a ring over HTTP.",
		}, []string{"action", "result"}),
	}
	if c.now == nil {
		c.now = time.Now
	}
	pages, err := parsePages()
	c.pages = pages
	errs := []error{err}
	for i := range cfg.Rings {
		r := &c.cfg.Rings[i]
		errs = append(errs, c.claim(r.Name, r.Key, r.Path, r.Store))
		c.rings[r.Name], c.rings[r.Key] = r, r
	}
	for i := range cfg.PartitionRings {
		r := &c.cfg.PartitionRings[i]
		errs = append(errs, c.claim(r.Name, r.Key, r.Path, r.Store))
		if c.rings[r.Instances] == nil {
			errs = append(errs, fmt.Errorf("partition ring %q: no instance ring %q", r.Name, r.Instances))
		}
		c.parts[r.Name], c.parts[r.Key] = r, r
	}
	if reg != nil {
		errs = append(errs, reg.Register(c.changes))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return c, nil
}

// claim checks one ring's names.
func (c *Control) claim(name, key, path string, store kv.Store) error {
	switch {
	case name == "" || key == "" || path == "" || store == nil:
		return fmt.Errorf("ring %q needs a name, a key, a path and a store", name+key)
	case c.rings[name] != nil || c.rings[key] != nil || c.parts[name] != nil || c.parts[key] != nil:
		return fmt.Errorf("ring %q (%s) is configured twice", name, key)
	}
	return nil
}

// Handler serves everything. Mount it at the root of a mux, or use the same patterns.
func (c *Control) Handler() http.Handler {
	mux := http.NewServeMux()
	for i := range c.cfg.Rings {
		r := &c.cfg.Rings[i]
		mux.HandleFunc("GET "+r.Path, func(w http.ResponseWriter, req *http.Request) { c.ringPage(w, req, r) })
		mux.HandleFunc("POST "+r.Path, func(w http.ResponseWriter, req *http.Request) { c.ringForm(w, req, r) })
	}
	for i := range c.cfg.PartitionRings {
		r := &c.cfg.PartitionRings[i]
		mux.HandleFunc("GET "+r.Path, func(w http.ResponseWriter, req *http.Request) { c.partitionPage(w, req, r) })
		mux.HandleFunc("POST "+r.Path, func(w http.ResponseWriter, req *http.Request) { c.partitionForm(w, req, r) })
	}
	c.apiRoutes(mux)
	mux.HandleFunc("GET /memberlist", c.memberlist)
	mux.HandleFunc("GET /{$}", c.home)
	if c.cfg.Downscaler != nil {
		mux.HandleFunc("/live-store/prepare-partition-downscale", c.preparePartitionDownscale)
		mux.HandleFunc("/live-store/prepare-downscale", c.prepareDownscale)
	}
	return headers(mux)
}

// Paths are the patterns of what Handler serves, for a mux that has other things, too. They end without a slash,
// except the first page and the prefix of the API.
func (c *Control) Paths() []string {
	paths := []string{"/{$}", ringapi.Prefix + "/", "/memberlist"}
	for _, r := range c.cfg.Rings {
		paths = append(paths, r.Path)
	}
	for _, r := range c.cfg.PartitionRings {
		paths = append(paths, r.Path)
	}
	if c.cfg.Downscaler != nil {
		paths = append(paths, "/live-store/prepare-partition-downscale", "/live-store/prepare-downscale")
	}
	return paths
}

// headers keeps pages out of caches and frames, and from loading anything.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// ring finds a ring by name or key.
func (c *Control) ring(name string) (*Ring, error) {
	if r := c.rings[name]; r != nil {
		return r, nil
	}
	return nil, c.unknown(name)
}

func (c *Control) partitionRing(name string) (*PartitionRing, error) {
	if r := c.parts[name]; r != nil {
		return r, nil
	}
	return nil, c.unknown(name)
}

func (c *Control) unknown(name string) error {
	return &ringapi.Error{Code: ringapi.CodeNotFound, Ring: name, Message: "this server shows no such ring", Hint: "GET " + ringapi.PatternRings + " lists them"}
}

// load reads an instance ring's value; a missing key is an empty ring.
func (r *Ring) load(ctx context.Context) (*ring.Desc, error) {
	d, err := membership.Rings(r.Store).Get(ctx, r.Key)
	if err != nil {
		return nil, storeError(r.Key, err)
	}
	if d == nil {
		d = ring.NewDesc()
	}
	return d, nil
}

func (r *Ring) options(tokens bool) ringapi.RingOptions {
	return ringapi.RingOptions{Key: r.Key, Name: r.Name, Lookup: r.Lookup, Tokens: tokens}
}

// load reads a partition ring's value; a missing key is an empty ring.
func (r *PartitionRing) load(ctx context.Context) (*partition.Desc, error) {
	d, err := membership.PartitionRings(r.Store).Get(ctx, r.Key)
	if err != nil {
		return nil, storeError(r.Key, err)
	}
	if d == nil {
		d = &partition.Desc{}
	}
	return d, nil
}

// partitionView reads a partition ring and the ring of its owners.
func (c *Control) partitionView(ctx context.Context, r *PartitionRing, tokens bool) (ringapi.PartitionRing, error) {
	d, err := r.load(ctx)
	if err != nil {
		return ringapi.PartitionRing{}, err
	}
	instances := c.rings[r.Instances]
	owners, err := instances.load(ctx)
	if err != nil {
		return ringapi.PartitionRing{}, err
	}
	o := ringapi.PartitionOptions{Key: r.Key, Name: r.Name, Instances: instances.Key, Lookup: instances.Lookup, Tokens: tokens}
	return ringapi.BuildPartitionRing(d, owners, o, c.now()), nil
}

// storeError puts a failure of the store into words.
func storeError(key string, err error) error {
	e := &ringapi.Error{Code: ringapi.CodeUnavailable, Ring: key, Message: err.Error()}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Code, e.Hint = ringapi.CodeTimeout, "the change may or may not have been made; look again"
	case errors.Is(err, kv.ErrConflict), errors.Is(err, kv.ErrNoChange):
		e.Hint = "try again in a second"
	}
	return e
}
