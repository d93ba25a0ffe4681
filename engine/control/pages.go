package control

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/ringapi"
)

//go:embed page
var pageFiles embed.FS

// style is the style sheet of all pages.
//
//go:embed page/style.css
var style string

// layout is what every page has.
type layout struct {
	Title, Cluster, Server, Key, Name string
	Now                               time.Time
	Style                             template.CSS
	Nav                               []navItem
	// Writable, CSRF and NeedToken drive the forms; ShowTokens the token lists.
	Writable, NeedToken, ShowTokens bool
	CSRF                            string
}

type navItem struct {
	Title, Path string
	Here        bool
}

func (c *Control) layout(r *http.Request, title, name, key string) layout {
	now := c.now()
	l := layout{
		Title: title, Cluster: c.cfg.Cluster, Server: c.cfg.Server, Name: name, Key: key, Now: now.UTC(),
		Writable: c.gate.open(), NeedToken: c.gate.certificate(r) == "",
		CSRF: c.gate.sign(r.URL.Path, now), Style: template.CSS(style), ShowTokens: r.URL.Query().Get("tokens") == "true",
	}
	add := func(title, path string) {
		l.Nav = append(l.Nav, navItem{Title: title, Path: path, Here: path == r.URL.Path})
	}
	for _, ring := range c.cfg.Rings {
		add(ring.Title, ring.Path)
	}
	for _, ring := range c.cfg.PartitionRings {
		add(ring.Title, ring.Path)
	}
	if c.cfg.Gossip != nil {
		add("Memberlist", "/memberlist")
	}
	return l
}

// pageNames are the pages that can be rendered.
var pageNames = [...]string{"home.html", "ring.html", "partition.html", "memberlist.html", "error.html"}

// parsePages reads the templates, each with the layout around it.
func parsePages() (map[string]*template.Template, error) {
	pages := map[string]*template.Template{}
	for _, name := range pageNames {
		t, err := template.New("layout.html").Funcs(template.FuncMap{"ago": ago, "stamp": stampTime, "margin": margin}).
			ParseFS(pageFiles, "page/layout.html", "page/"+name)
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

// render writes one page. The page is made in memory first, so that a fault becomes an error answer.
func (c *Control) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := c.pages[name].Execute(&page, data); err != nil {
		c.log.Error("page not made", "page", name, "err", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the client is gone; nobody to tell
}

// wantsJSON tells whether a program asks: by ?format=json or by Accept.
func wantsJSON(r *http.Request) bool {
	return r.URL.Query().Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "encode the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client is gone; nobody to tell
}

// fail answers a refusal: JSON for programs, a page for people who sent a form, text otherwise.
func (c *Control) fail(w http.ResponseWriter, r *http.Request, title string, err error) {
	e := ringapi.AsError(err)
	status := ringapi.StatusOf(e.Code).HTTP
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	switch {
	case strings.HasPrefix(r.URL.Path, ringapi.Prefix) || wantsJSON(r):
		writeJSON(w, status, e)
	case strings.Contains(r.Header.Get("Accept"), "text/html"):
		c.render(w, status, "error.html", struct {
			layout
			Err  *ringapi.Error
			Back string
		}{c.layout(r, title, "", ""), e, r.URL.Path})
	default:
		http.Error(w, e.Error(), status)
	}
}

// ringRow is one member on the page.
type ringRow struct {
	ringapi.Instance
	Hue              int
	Class, StateText string
	Alive            bool
}

func (c *Control) ringPage(w http.ResponseWriter, req *http.Request, r *Ring) {
	d, err := r.load(req.Context())
	if err != nil {
		c.fail(w, req, r.Title, err)
		return
	}
	view := ringapi.BuildRing(d, r.options(true), c.now())
	if wantsJSON(req) {
		writeJSON(w, http.StatusOK, view.Page())
		return
	}
	data := struct {
		layout
		View     ringapi.Ring
		Timeout  string
		Versions bool
		Drawing  drawing
		Zones    []zoneRow
		Rows     []ringRow
	}{layout: c.layout(req, r.Title, r.Name, r.Key), View: view, Timeout: span(r.Lookup.HeartbeatTimeout), Drawing: drawRing(view)}
	for _, z := range view.Zones {
		data.Zones = append(data.Zones, zoneRow{z, spread(view, z.Name)})
	}
	for n, i := range view.Instances {
		row := ringRow{Instance: i, Hue: hue(n), StateText: i.State, Class: "ok", Alive: i.Health == ringapi.Healthy}
		if i.State != "ACTIVE" {
			row.Class = "warn"
		}
		if i.Health != ringapi.Healthy {
			row.Class, row.StateText = "bad", strings.ToUpper(i.Health)+" ("+i.State+")"
		}
		if !data.ShowTokens {
			row.Tokens = nil
		}
		data.Versions = data.Versions || len(i.Versions) > 0
		data.Rows = append(data.Rows, row)
	}
	c.render(w, http.StatusOK, "ring.html", data)
}

// zoneRow is one zone on the page.
type zoneRow struct {
	ringapi.Zone
	Spread string
}

// spread says how evenly the keys of a zone are owned.
func spread(v ringapi.Ring, zone string) string {
	lo, hi, n := 100.0, 0.0, 0
	for _, i := range v.Instances {
		if i.Zone == zone && i.NumTokens > 0 {
			lo, hi, n = min(lo, i.Ownership), max(hi, i.Ownership), n+1
		}
	}
	switch n {
	case 0:
		return "–"
	case 1:
		return fmt.Sprintf("%.1f %%", hi)
	}
	return fmt.Sprintf("%.1f to %.1f %%, fair is %.1f %%", lo, hi, 100/float64(n))
}

// partitionRow is one partition on the page, its owners by zone.
type partitionRow struct {
	ringapi.Partition
	Hue       int
	Class     string
	Cells     [][]ownerCell
	Moves     []move
	Removable bool
	Gone      []string // owners whose instance is in no ring
}

type ownerCell struct {
	ringapi.Owner
	Class string
}

type move struct{ Value, Text string }

func (c *Control) partitionPage(w http.ResponseWriter, req *http.Request, r *PartitionRing) {
	view, err := c.partitionView(req.Context(), r, true)
	if err != nil {
		c.fail(w, req, r.Title, err)
		return
	}
	if wantsJSON(req) {
		writeJSON(w, http.StatusOK, view.Page())
		return
	}
	data := struct {
		layout
		View                 ringapi.PartitionRing
		Timeout              string
		Zones                []string
		ZoneRows             []ownerZoneRow
		Readable, OwnerCount int
		Drawing              drawing
		Rows                 []partitionRow
	}{layout: c.layout(req, r.Title, r.Name, r.Key), View: view, Timeout: span(c.rings[r.Instances].Lookup.HeartbeatTimeout), Drawing: drawPartitions(view)}
	data.Zones = ownerZones(view)
	data.ZoneRows = ownerZoneRows(view, data.Zones)
	for n, p := range view.Partitions {
		data.OwnerCount += len(p.Owners)
		if p.HealthyOwners > 0 {
			data.Readable++
		}
		data.Rows = append(data.Rows, newPartitionRow(p, hue(n), data.Zones, data.ShowTokens))
	}
	c.render(w, http.StatusOK, "partition.html", data)
}

func newPartitionRow(p ringapi.Partition, hue int, zones []string, tokens bool) partitionRow {
	row := partitionRow{Partition: p, Hue: hue, Class: "warn", Removable: p.State == "INACTIVE" && len(p.Owners) == 0 && !p.Locked}
	if p.State == "ACTIVE" {
		row.Class = "ok"
	}
	if !tokens {
		row.Tokens = nil
	}
	row.Cells = make([][]ownerCell, len(zones))
	for _, o := range p.Owners {
		cell := ownerCell{Owner: o, Class: "ok"}
		if o.Health != ringapi.Healthy {
			cell.Class = "bad"
		}
		if o.Health == ringapi.Missing {
			row.Gone = append(row.Gone, o.ID)
		}
		z := slices.Index(zones, o.Zone)
		row.Cells[z] = append(row.Cells[z], cell)
	}
	if p.Locked {
		return row
	}
	switch p.State {
	case "PENDING":
		row.Moves = []move{{"Active", "make it ACTIVE"}, {"Inactive", "make it INACTIVE"}}
	case "ACTIVE":
		row.Moves = []move{{"Inactive", "make it INACTIVE"}}
	case "INACTIVE":
		row.Moves = []move{{"Active", "make it ACTIVE"}}
	}
	return row
}

func ownerZones(v ringapi.PartitionRing) []string {
	zones := []string{}
	for _, p := range v.Partitions {
		for _, o := range p.Owners {
			zones = append(zones, o.Zone)
		}
	}
	slices.Sort(zones)
	if zones = slices.Compact(zones); len(zones) == 0 {
		return []string{""}
	}
	return zones
}

// ownerZoneRow counts the owners of one zone.
type ownerZoneRow struct {
	Name            string
	Owners, Healthy int
}

func ownerZoneRows(v ringapi.PartitionRing, zones []string) []ownerZoneRow {
	rows := make([]ownerZoneRow, len(zones))
	for n, z := range zones {
		rows[n].Name = z
	}
	for _, p := range v.Partitions {
		for _, o := range p.Owners {
			n := slices.Index(zones, o.Zone)
			rows[n].Owners++
			if o.Health == ringapi.Healthy {
				rows[n].Healthy++
			}
		}
	}
	return rows
}

// margin is a quorum margin in words.
func margin(q *ringapi.Quorum) string {
	switch {
	case q.Margin < 0:
		return fmt.Sprintf("%d missing", -q.Margin)
	case q.Margin == 0:
		return "none left"
	}
	return fmt.Sprintf("%d more", q.Margin)
}

func stampTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
