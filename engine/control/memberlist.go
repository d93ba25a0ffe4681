package control

import (
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// Gossip is what the memberlist page shows. *gossip.Cluster is one.
type Gossip interface {
	Admin() gossip.Admin
	// Raw is one key as it is sent, with its tombstones.
	Raw(key string) (gossip.Pair, bool)
	ClearHistory()
}

// memberlistJSON is the JSON of /memberlist, in the field names of the dskit family.
type memberlistJSON struct {
	Now              time.Time
	SortedMembers    []nodeJSON
	Store            map[string]keyJSON
	StoreSizes       map[string]int
	TotalStoreSize   int
	SentMessages     []messageJSON
	ReceivedMessages []messageJSON
	// HealthScore is memberlist's own score, 0 is healthy; Self this member's name. Both are additions.
	HealthScore int
	Self        string
}

type nodeJSON struct {
	Name                               string
	Addr                               string
	Port                               uint16
	Meta                               []byte
	State                              uint8
	PMin, PMax, PCur, DMin, DMax, DCur uint8
}

type keyJSON struct {
	Version    uint64
	CodecID    string
	Deleted    bool
	UpdateTime time.Time
	// Entries and Tombstones are additions.
	Entries, Tombstones int
}

type messageJSON struct {
	ID      int
	Time    time.Time
	Size    int
	Key     string
	Codec   string
	Version uint64
	Changes []string
}

// memberlist serves the page, its JSON, and single values and messages.
func (c *Control) memberlist(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case c.cfg.Gossip == nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("This instance doesn't use memberlist.")) // the client is gone; nobody to tell
	case q.Get("viewKey") != "":
		c.viewKey(w, r, q.Get("viewKey"), q.Get("format"))
	case q.Get("downloadKey") != "":
		c.downloadKey(w, r, q.Get("downloadKey"))
	case q.Get("viewMsg") != "":
		c.viewMessage(w, r, q.Get("viewMsg"), q.Get("format"))
	case q.Get("deleteMessages") == "true":
		c.clearHistory(w, r)
	case wantsJSON(r):
		writeJSON(w, http.StatusOK, newMemberlistJSON(c.cfg.Gossip.Admin()))
	default:
		c.memberlistPage(w, r)
	}
}

func (c *Control) memberlistPage(w http.ResponseWriter, r *http.Request) {
	a := c.cfg.Gossip.Admin()
	slices.SortFunc(a.Members, func(x, y gossip.Node) int { return strings.Compare(x.Name, y.Name) })
	total := 0
	for _, k := range a.Keys {
		total += k.Size
	}
	c.render(w, http.StatusOK, "memberlist.html", struct {
		layout
		Admin    gossip.Admin
		Bytes    int
		Messages []messageJSON
	}{c.layout(r, "Memberlist", "", ""), a, total, append(messages(a.Received), messages(a.Sent)...)})
}

// clearHistory drops the kept messages. It changes no ring, but what others may want to see: same site only.
func (c *Control) clearHistory(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" {
		c.fail(w, r, "Memberlist", &ringapi.Error{Code: ringapi.CodeDenied, Message: "the request comes from another site"})
		return
	}
	c.cfg.Gossip.ClearHistory()
	http.Redirect(w, r, r.URL.Path, http.StatusFound)
}

func newMemberlistJSON(a gossip.Admin) memberlistJSON {
	out := memberlistJSON{
		Now: a.Now.UTC(), Self: a.Self, HealthScore: a.HealthScore, SortedMembers: []nodeJSON{},
		Store: map[string]keyJSON{}, StoreSizes: map[string]int{},
		SentMessages: messages(a.Sent), ReceivedMessages: messages(a.Received),
	}
	for _, n := range a.Members {
		out.SortedMembers = append(out.SortedMembers, newNodeJSON(n))
	}
	slices.SortFunc(out.SortedMembers, func(x, y nodeJSON) int { return strings.Compare(x.Name, y.Name) })
	for _, k := range a.Keys {
		out.Store[k.Key] = keyJSON{Version: k.Version, CodecID: k.Codec, Deleted: k.Deleted, UpdateTime: k.UpdateTime, Entries: k.Entries, Tombstones: k.Tombstones}
		out.StoreSizes[k.Key] = k.Size
		out.TotalStoreSize += k.Size
	}
	return out
}

func newNodeJSON(n gossip.Node) nodeJSON {
	out := nodeJSON{Name: n.Name, Addr: n.Addr, State: uint8(n.State),
		PMin: n.PMin, PMax: n.PMax, PCur: n.PCur, DMin: n.DMin, DMax: n.DMax, DCur: n.DCur}
	if ap, err := netip.ParseAddrPort(n.Addr); err == nil {
		out.Addr, out.Port = ap.Addr().String(), ap.Port()
	} else if host, port, err := net.SplitHostPort(n.Addr); err == nil {
		p, _ := strconv.ParseUint(port, 10, 16) // 0 where it is no number
		out.Addr, out.Port = host, uint16(p)
	}
	if n.Meta.Zone != "" {
		out.Meta, _ = gossip.AppendMeta(nil, n.Meta) // a zone too long for the form is left out
	}
	return out
}

func messages(list []gossip.Message) []messageJSON {
	out := []messageJSON{}
	for _, m := range list {
		out = append(out, messageJSON{ID: m.ID, Time: m.At.UTC(), Size: len(m.Pair.Value), Key: m.Pair.Key,
			Codec: m.Pair.Codec, Version: m.Version, Changes: m.Changes})
	}
	return out
}

// viewKey shows one value, tombstones included.
func (c *Control) viewKey(w http.ResponseWriter, r *http.Request, key, format string) {
	p, ok := c.cfg.Gossip.Raw(key)
	if !ok {
		c.fail(w, r, "Memberlist", &ringapi.Error{Code: ringapi.CodeNotFound, Subject: key, Message: "no such key"})
		return
	}
	c.showValue(w, r, p, format)
}

func (c *Control) viewMessage(w http.ResponseWriter, r *http.Request, id, format string) {
	a := c.cfg.Gossip.Admin()
	for _, m := range append(a.Received, a.Sent...) {
		if strconv.Itoa(m.ID) == id {
			c.showValue(w, r, m.Pair, format)
			return
		}
	}
	c.fail(w, r, "Memberlist", &ringapi.Error{Code: ringapi.CodeNotFound, Subject: "message " + id, Message: "no such message; the oldest are dropped"})
}

// downloadKey hands out one value in its codec, byte for byte as it is sent.
func (c *Control) downloadKey(w http.ResponseWriter, r *http.Request, key string) {
	p, ok := c.cfg.Gossip.Raw(key)
	if !ok {
		c.fail(w, r, "Memberlist", &ringapi.Error{Code: ringapi.CodeNotFound, Subject: key, Message: "no such key"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	name := strings.NewReplacer("/", "-", `"`, "").Replace(p.Key) + "-" + p.Codec
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	_, _ = w.Write(p.Value) // the client is gone; nobody to tell
}

// showValue prints a value as json, json-pretty or struct.
func (c *Control) showValue(w http.ResponseWriter, r *http.Request, p gossip.Pair, format string) {
	v, err := valueJSON(p)
	if err != nil {
		c.fail(w, r, "Memberlist", &ringapi.Error{Code: ringapi.CodeInternal, Subject: p.Key, Message: err.Error(), Hint: "?downloadKey= gives the bytes"})
		return
	}
	var b []byte
	switch format {
	case "", "json-pretty":
		b, err = json.MarshalIndent(v, "", "    ")
	case "json":
		b, err = json.Marshal(v)
	case "struct":
		b = fmt.Appendf(nil, "%+v\n", v)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	default:
		err = &ringapi.Error{Code: ringapi.CodeInvalid, Message: "format " + strconv.Quote(format) + " is unknown", Hint: "json, json-pretty, struct"}
	}
	if err != nil {
		c.fail(w, r, "Memberlist", err)
		return
	}
	if format != "struct" {
		w.Header().Set("Content-Type", "application/json")
	}
	_, _ = w.Write(b) // the client is gone; nobody to tell
}

// The JSON of plain values has the field names of the protobuf messages and states as numbers; zero values
// are left out.
type ringValueJSON struct {
	Ingesters map[string]instanceJSON `json:"ingesters"`
}

type instanceJSON struct {
	Addr                     string            `json:"addr,omitempty"`
	Timestamp                int64             `json:"timestamp,omitempty"`
	State                    int32             `json:"state,omitempty"`
	Tokens                   []uint32          `json:"tokens,omitempty"`
	Zone                     string            `json:"zone,omitempty"`
	RegisteredTimestamp      int64             `json:"registered_timestamp,omitempty"`
	ID                       string            `json:"id,omitempty"`
	ReadOnlyUpdatedTimestamp int64             `json:"read_only_updated_timestamp,omitempty"`
	ReadOnly                 bool              `json:"read_only,omitempty"`
	Versions                 map[uint64]uint64 `json:"versions,omitempty"`
}

type partitionValueJSON struct {
	Partitions map[int32]partitionJSON `json:"partitions"`
	Owners     map[string]ownerJSON    `json:"owners"`
}

type partitionJSON struct {
	Tokens                     []uint32 `json:"tokens,omitempty"`
	State                      int32    `json:"state,omitempty"`
	StateTimestamp             int64    `json:"stateTimestamp,omitempty"`
	ID                         int32    `json:"id,omitempty"`
	StateChangeLocked          bool     `json:"stateChangeLocked,omitempty"`
	StateChangeLockedTimestamp int64    `json:"stateChangeLockedTimestamp,omitempty"`
}

type ownerJSON struct {
	OwnedPartition   int32 `json:"ownedPartition,omitempty"`
	State            int32 `json:"state,omitempty"`
	UpdatedTimestamp int64 `json:"updatedTimestamp,omitempty"`
}

// valueJSON decodes a value by its codec.
func valueJSON(p gossip.Pair) (any, error) {
	switch p.Codec {
	case ring.Codec:
		d, err := ring.DecodeValue(p.Value)
		if err != nil {
			return nil, err
		}
		out := ringValueJSON{Ingesters: map[string]instanceJSON{}}
		for id, i := range d.Instances {
			out.Ingesters[id] = instanceJSON{i.Addr, i.Timestamp, int32(i.State), i.Tokens, i.Zone, i.RegisteredTimestamp,
				i.ID, i.ReadOnlyUpdatedTimestamp, i.ReadOnly, i.Versions}
		}
		return out, nil
	case partition.Codec:
		d, err := partition.DecodeValue(p.Value)
		if err != nil {
			return nil, err
		}
		out := partitionValueJSON{map[int32]partitionJSON{}, map[string]ownerJSON{}}
		for id, v := range d.Partitions {
			out.Partitions[id] = partitionJSON{v.Tokens, int32(v.State), v.StateTimestamp, v.ID, v.StateChangeLocked, v.StateChangeLockedTimestamp}
		}
		for id, o := range d.Owners {
			out.Owners[id] = ownerJSON{o.OwnedPartition, int32(o.State), o.UpdatedTimestamp}
		}
		return out, nil
	}
	return nil, fmt.Errorf("values of codec %q cannot be shown here", p.Codec)
}
