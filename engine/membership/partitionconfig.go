package membership

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// PartitionConfig describes the ownership of one partition. Start from [DefaultPartitionConfig].
type PartitionConfig struct {
	// Key is the partition ring's key, for example "collectors/livestore-partitions".
	Key string
	// Name is the ring's name in metrics. Empty: the key.
	Name string
	// Partition is the number of the partition owned.
	Partition int32
	// OwnerID is what stands in the ring as owner: the instance id, or "instance/partition" where one
	// instance owns several partitions (partition.OwnerInstance understands both).
	OwnerID string
	// MinOwners and MinOwnersDuration: a pending partition becomes active when it has had so many owners
	// for so long.
	MinOwners         int
	MinOwnersDuration time.Duration
	// DeleteInactiveAfter is how long other partitions may be inactive and without owners before this
	// member deletes them. Zero: for ever.
	DeleteInactiveAfter time.Duration
	// Instances is the instance ring of the owners, normally the Ring method of the Instance beside this
	// Partition. With it, owners whose instance has been out of that ring for ForgetOwnersAfter are removed,
	// since a crashed owner would otherwise keep its partition from ever being deleted. Nil or zero: never.
	Instances         func() *ring.Ring
	ForgetOwnersAfter time.Duration
	// PollInterval is the time between two looks.
	PollInterval time.Duration
	// CreateOnStartup creates the partition if it is missing; otherwise Run waits for it.
	CreateOnStartup bool
	// RemoveOwnerOnShutdown takes the owner off the partition at the end.
	RemoveOwnerOnShutdown bool
	// MarkerFile remembers that a downscale was prepared (see [Partition.PrepareDownscale]) across a
	// restart of the process. Empty: it is not remembered.
	MarkerFile string
}

// DefaultPartitionConfig has Tempo's values: one owner for 10 s, a look each 5 s, abandoned partitions
// deleted after 13 h, partition created at the start, owner removed at the end. Ours: owners are forgotten
// after an hour without their instance, where Instances is given.
func DefaultPartitionConfig() PartitionConfig {
	return PartitionConfig{
		MinOwners:             1,
		MinOwnersDuration:     10 * time.Second,
		DeleteInactiveAfter:   13 * time.Hour,
		ForgetOwnersAfter:     time.Hour,
		PollInterval:          5 * time.Second,
		CreateOnStartup:       true,
		RemoveOwnerOnShutdown: true,
	}
}

// Validate reports every mistake at once.
func (c PartitionConfig) Validate() error {
	var errs []error
	check := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Key == "", "the partition ring key is empty")
	check(c.OwnerID == "", "the owner id is empty")
	check(c.Partition < 0 || c.Partition >= ring.MaxSpreadInstances, "partition %d is not between 0 and %d",
		c.Partition, ring.MaxSpreadInstances-1)
	check(c.MinOwners < 1, "min owners %d must be at least 1", c.MinOwners)
	check(c.MinOwnersDuration < 0, "min owners duration %s must not be negative", c.MinOwnersDuration)
	check(c.DeleteInactiveAfter < 0, "delete inactive after %s must not be negative", c.DeleteInactiveAfter)
	check(c.ForgetOwnersAfter < 0, "forget owners after %s must not be negative", c.ForgetOwnersAfter)
	check(c.PollInterval <= 0, "poll interval %s must be positive", c.PollInterval)
	if len(errs) > 0 {
		return fmt.Errorf("ownership in partition ring %q: %w", c.Key, errors.Join(errs...))
	}
	return nil
}

func (c PartitionConfig) name() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Key
}

// PartitionOf is the partition that belongs to an instance by its name: the number behind the last dash,
// as StatefulSets count their pods.
func PartitionOf(instanceID string) (int32, error) {
	m := regexp.MustCompile(`-(\d+)$`).FindStringSubmatch(instanceID)
	if m == nil {
		return 0, fmt.Errorf("instance id %q does not end in a dash and a number, so it names no partition; "+
			"set the partition explicitly", instanceID)
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("instance id %q: partition number: %w", instanceID, err)
	}
	return int32(n), nil
}
