package control

import "net/http"

// Home is what the first page tells of the process, beside its rings.
type Home struct {
	// Facts are shown in order: what it runs, where it listens.
	Facts []Fact
	// Links are what else it serves.
	Links []Link
	// Ready is nil when the process takes requests, and otherwise what it waits for.
	Ready func() error
}

// Fact is a name and a short value.
type Fact struct{ Name, Value string }

// Link is something to read at a path of this process.
type Link struct {
	Path  string `json:"path"`
	Title string `json:"title"`
	About string `json:"about"`
}

// homeJSON is the first page for programs.
type homeJSON struct {
	Cluster string            `json:"cluster"`
	Server  string            `json:"server"`
	Ready   bool              `json:"ready"`
	Waiting string            `json:"waiting,omitempty"`
	Facts   map[string]string `json:"facts"`
	Links   []Link            `json:"links"`
}

// home serves the first page: what this process is, and links to what it serves.
func (c *Control) home(w http.ResponseWriter, r *http.Request) {
	waiting := ""
	if c.cfg.Home.Ready != nil {
		if err := c.cfg.Home.Ready(); err != nil {
			waiting = err.Error()
		}
	}
	rings := c.ringLinks()
	if wantsJSON(r) {
		facts := map[string]string{}
		for _, f := range c.cfg.Home.Facts {
			facts[f.Name] = f.Value
		}
		writeJSON(w, http.StatusOK, homeJSON{c.cfg.Cluster, c.cfg.Server, waiting == "", waiting, facts, append(rings, c.cfg.Home.Links...)})
		return
	}
	c.render(w, http.StatusOK, "home.html", struct {
		layout
		Home
		Rings   []Link
		Waiting string
	}{c.layout(r, "tempod", "", ""), c.cfg.Home, rings, waiting})
}

// ringLinks are the pages of rings and gossip that this process has.
func (c *Control) ringLinks() []Link {
	var links []Link
	for _, r := range c.cfg.Rings {
		links = append(links, Link{r.Path, r.Title, "members, tokens and quorum of " + r.Key})
	}
	for _, r := range c.cfg.PartitionRings {
		links = append(links, Link{r.Path, r.Title, "partitions and their owners in " + r.Key})
	}
	if c.cfg.Gossip != nil {
		links = append(links, Link{"/memberlist", "Memberlist", "gossip members, keys and values"})
	}
	if c.cfg.Downscaler != nil {
		links = append(links, Link{"/live-store/prepare-partition-downscale", "Own partition", "its state, for rollout tools"})
	}
	return links
}
