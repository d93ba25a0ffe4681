package model

import (
	"slices"
	"strings"
	"time"
)

// Profile says what is known about a ring beyond its content. Nothing in a ring tells its replication
// factor or how long a heartbeat is good for: that is in the configuration of its readers.
type Profile struct {
	// Name is the short name for the command line.
	Name string
	// HeartbeatTimeout is how old a heartbeat may be; zero means the default of one minute.
	HeartbeatTimeout time.Duration
	// ReplicationFactor is the number of replicas per key; zero means unknown.
	ReplicationFactor int
	// ZoneAware says whether replicas are spread over zones; nil means "if every instance has a zone
	// and there are at least as many zones as replicas".
	ZoneAware *bool
	// Stateless rings only tell who is there: losing members loses no data and no quorum.
	Stateless bool
}

const (
	defaultHeartbeatTimeout  = time.Minute
	defaultReplicationFactor = 3
)

// knownKey is one line of the table of keys: the last parts of the key, and what is usual there.
type knownKey struct {
	suffix string
	// products that use the key; a key of a single product identifies it.
	products []string
	profile  Profile
	// timeouts that differ from one minute, by product.
	timeouts map[string]time.Duration
	// replicas that differ from the profile's, by product.
	replicas map[string]int
	// instances is the last part of the key of the instance ring whose members own partitions.
	instances []string
}

// knownKeys only adds names and usual settings: which keys are rings, and of which type, is read from the
// state itself, because the prefix is configurable and a key has changed its type between versions.
func knownKeys() []knownKey {
	return []knownKey{
		{suffix: "rulers/ring", products: []string{"mimir"}, profile: Profile{Name: "ruler", Stateless: true}},
		{suffix: "rulers/rulers", products: []string{"loki"}, profile: Profile{Name: "ruler", Stateless: true}},
		{suffix: "alertmanagers/alertmanager", products: []string{"mimir"}, profile: Profile{Name: "alertmanager"}},
		{suffix: "ring", profile: Profile{Name: "ingester"},
			timeouts: map[string]time.Duration{"tempo": 5 * time.Minute},
			replicas: map[string]int{"pyroscope": 1}},
		{suffix: "distributor", profile: Profile{Name: "distributor", Stateless: true},
			timeouts: map[string]time.Duration{"tempo": 5 * time.Minute}},
		{suffix: "compactor", profile: Profile{Name: "compactor", Stateless: true}},
		{suffix: "store-gateway", profile: Profile{Name: "store-gateway"}, replicas: map[string]int{"pyroscope": 1}},
		{suffix: "query-scheduler", profile: Profile{Name: "query-scheduler", Stateless: true}},
		{suffix: "overrides-exporter", profile: Profile{Name: "overrides-exporter", Stateless: true}},
		{suffix: "usage-tracker-instances", products: []string{"mimir"}, profile: Profile{Name: "usage-tracker", Stateless: true}},
		{suffix: "usage-tracker-partitions", products: []string{"mimir"}, profile: Profile{Name: "usage-tracker-partitions"},
			instances: []string{"usage-tracker-instances"}},
		{suffix: "ingester-partitions", profile: Profile{Name: "ingester-partitions"}, instances: []string{"ring"}},
		{suffix: "ingester-partitions-key", products: []string{"loki"}, profile: Profile{Name: "ingester-partitions"},
			instances: []string{"ring"}},
		{suffix: "dataobj-consumer-partitions-key", products: []string{"loki"}, profile: Profile{Name: "dataobj-consumer-partitions"},
			instances: []string{"dataobj-consumer"}},
		{suffix: "dataobj-consumer", products: []string{"loki"}, profile: Profile{Name: "dataobj-consumer", Stateless: true}},
		{suffix: "scheduler", products: []string{"loki"}, profile: Profile{Name: "scheduler", Stateless: true}},
		{suffix: "index-gateway", products: []string{"loki"}, profile: Profile{Name: "index-gateway"}},
		{suffix: "bloom-gateway", products: []string{"loki"}, profile: Profile{Name: "bloom-gateway"}},
		{suffix: "pattern-ring", products: []string{"loki"}, profile: Profile{Name: "pattern-ingester", ReplicationFactor: 1}},
		{suffix: "ui", products: []string{"loki"}, profile: Profile{Name: "ui", Stateless: true}},
		{suffix: "ingest-limits", products: []string{"loki"}, profile: Profile{Name: "ingest-limits", Stateless: true}},
		{suffix: "ingest-limits-frontend", products: []string{"loki"}, profile: Profile{Name: "ingest-limits-frontend", Stateless: true}},
		{suffix: "live-store", products: []string{"tempo"}, profile: Profile{Name: "live-store", Stateless: true}},
		{suffix: "livestore-partitions", products: []string{"tempo"}, profile: Profile{Name: "livestore-partitions"},
			instances: []string{"live-store"}},
		{suffix: "querier", products: []string{"tempo"}, profile: Profile{Name: "querier", Stateless: true}},
		{suffix: "backend-worker", products: []string{"tempo"}, profile: Profile{Name: "backend-worker", Stateless: true}},
		{suffix: "metrics-generator", products: []string{"tempo"}, profile: Profile{Name: "metrics-generator", Stateless: true},
			instances: []string{"metrics-generator"}},
		{suffix: "segment-writer-ring", products: []string{"pyroscope"}, profile: Profile{Name: "segment-writer", ReplicationFactor: 1}},
	}
}

// Products lists the products that have a profile.
func Products() []string {
	return []string{"tempod", "tempo", "mimir", "loki", "pyroscope", "cortex"}
}

// family is the product whose keys a product uses: tempod writes Tempo's.
func family(product string) string {
	if product == "tempod" {
		return "tempo"
	}
	return product
}

func lookupKey(key string) (knownKey, bool) {
	for _, k := range knownKeys() {
		if key == k.suffix || strings.HasSuffix(key, "/"+k.suffix) {
			return k, true
		}
	}
	return knownKey{}, false
}

// ProfileOf returns what is usual for a key in a product ("" where the product is unknown).
func ProfileOf(product, key string) Profile {
	k, ok := lookupKey(key)
	if !ok {
		return Profile{Name: lastPart(key), HeartbeatTimeout: defaultHeartbeatTimeout}
	}
	p := k.profile
	p.HeartbeatTimeout = defaultHeartbeatTimeout
	if t, ok := k.timeouts[family(product)]; ok {
		p.HeartbeatTimeout = t
	}
	if rf, ok := k.replicas[family(product)]; ok {
		p.ReplicationFactor = rf
	}
	return p
}

func lastPart(key string) string {
	return key[strings.LastIndexByte(key, '/')+1:]
}

// productsOf returns the products that are recognised by their own keys, sorted.
func productsOf(keys []string) []string {
	var found []string
	for _, key := range keys {
		if k, ok := lookupKey(key); ok && len(k.products) == 1 && !slices.Contains(found, k.products[0]) {
			found = append(found, k.products[0])
		}
		if strings.HasPrefix(key, "ha-tracker/") && !slices.Contains(found, "mimir") {
			found = append(found, "mimir")
		}
	}
	// tempod writes Tempo's keys, and one that Tempo has not: its queriers are members of a ring.
	isQuerier := func(key string) bool { return lastPart(key) == "querier" }
	if i := slices.Index(found, "tempo"); i >= 0 && slices.ContainsFunc(keys, isQuerier) {
		found[i] = "tempod"
	}
	slices.Sort(found)
	return found
}

// instanceKeyFor finds the instance ring in which the owners of a partition ring are members: the usual key
// beside it, else the ring with most of its owners. The id lists are sorted.
func instanceKeyFor(key string, owners []string, rings map[string][]string) string {
	if k, ok := lookupKey(key); ok {
		for _, last := range k.instances {
			beside := strings.TrimSuffix(key, lastPart(key)) + last
			if _, ok := rings[beside]; ok && beside != key {
				return beside
			}
		}
	}
	best, most := "", 0
	for name, ids := range rings {
		n := 0
		for _, o := range owners {
			if _, found := slices.BinarySearch(ids, o); found {
				n++
			}
		}
		if n > most || n == most && n > 0 && name < best {
			best, most = name, n
		}
	}
	return best
}

// names gives each key its short name; a name that two keys would share is replaced by the whole keys.
func names(keys []string, product string) map[string]string {
	count := map[string]int{}
	out := map[string]string{}
	for _, k := range keys {
		out[k] = ProfileOf(product, k).Name
		count[out[k]]++
	}
	for k, n := range out {
		if count[n] > 1 {
			out[k] = k
		}
	}
	return out
}
