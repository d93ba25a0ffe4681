package gossip

import (
	"errors"
	"time"
)

// FamilyConfig holds the settings that a memberlist block of the family may contain and that this program does not
// offer. Their values are read, so that a block moves over as it is; one that is switched on is an error, because the
// cluster would behave otherwise than its configuration says.
type FamilyConfig struct {
	ZoneAwareRouting        ZoneAwareRouting        `yaml:"zone_aware_routing"`
	PropagationDelayTracker PropagationDelayTracker `yaml:"propagation_delay_tracker"`
	// WatchPrefixBufferSize bounds a queue of notifications that overflows by losing some. Watchers here have no queue:
	// each is told the newest value of a key whenever it is ready, so any size is accepted and none is needed.
	WatchPrefixBufferSize int `yaml:"watch_prefix_buffer_size"`
}

// ZoneAwareRouting lets members of the family gossip within their zone, with bridges between zones. Members here choose
// among all others and are chosen by all others, which such a cluster allows.
type ZoneAwareRouting struct {
	Enabled                  bool   `yaml:"enabled"`
	InstanceAvailabilityZone string `yaml:"instance_availability_zone"`
	Role                     string `yaml:"role"` // member or bridge
}

// PropagationDelayTracker publishes beacons that measure how long news take. Members here pass the beacons of others on
// (see [Beacons]) and publish none.
type PropagationDelayTracker struct {
	Enabled                     bool          `yaml:"enabled"`
	BeaconInterval              time.Duration `yaml:"beacon_interval"`
	BeaconLifetime              time.Duration `yaml:"beacon_lifetime"`
	LogBeaconsLatencyLongerThan time.Duration `yaml:"log_beacons_latency_longer_than"`
}

func defaultFamily() FamilyConfig {
	return FamilyConfig{
		ZoneAwareRouting:        ZoneAwareRouting{Role: "member"},
		PropagationDelayTracker: PropagationDelayTracker{BeaconInterval: time.Minute, BeaconLifetime: 10 * time.Minute},
		WatchPrefixBufferSize:   128,
	}
}

// validate reports what is switched on.
func (f FamilyConfig) validate() error {
	var errs []error
	if f.ZoneAwareRouting.Enabled {
		errs = append(errs, errors.New("zone_aware_routing.enabled: not offered, members here gossip with all zones; "+
			"set it to false (members that have it on may stay in the same cluster)"))
	}
	if f.PropagationDelayTracker.Enabled {
		errs = append(errs, errors.New("propagation_delay_tracker.enabled: not offered, members here pass beacons on but publish none; "+
			"set it to false and leave it on at the members that measure"))
	}
	return errors.Join(errs...)
}
