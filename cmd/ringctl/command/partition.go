package command

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
)

var errAlive = errors.New("the instance is alive and registered itself again")

func (a *app) partitionCommand() *cobra.Command {
	var ringName string
	c := &cobra.Command{
		Use:   "partition",
		Short: "Change partitions: activate, deactivate, lock, unlock, drain, remove; remove owners",
		Long: `Change one partition, or remove one owner. Allowed moves are PENDING -> ACTIVE or INACTIVE, ACTIVE -> INACTIVE and
INACTIVE -> ACTIVE; a locked partition does not move. The entry is written as it was read, only the state or lock differs,
and all members are read until they agree.`,
		Example: "  ringctl partition deactivate 3 --lock --reason 'scale down'\n  ringctl partition unlock 3\n  ringctl partition remove 3 --confirm=3\n  ringctl partition owner remove live-store-zone-a-3 --yes",
		Args:    a.unknown,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.PersistentFlags().StringVar(&ringName, "ring", "", "the partition `ring`, when there is more than one")
	_ = c.RegisterFlagCompletionFunc("ring", func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.live(c, partitionRingNames)
	})
	c.AddCommand(
		a.partitionEdit(client.Activate, "activate", "Let a partition take new data", &ringName, true),
		a.partitionEdit(client.Deactivate, "deactivate", "Stop new data to a partition; it stays readable", &ringName, true),
		a.partitionEdit(client.Lock, "lock", "Keep a partition in its state until it is unlocked", &ringName, false),
		a.partitionEdit(client.Unlock, "unlock", "Let a partition's state change again", &ringName, false),
		a.partitionEdit(client.RemovePartition, "remove", "Remove an INACTIVE partition without owners", &ringName, false),
		a.drainCommand(&ringName),
		a.ownerCommand(&ringName),
	)
	return c
}

func (a *app) partitionEdit(action client.Action, verb, short string, ringName *string, canLock bool) *cobra.Command {
	var lock bool
	c := &cobra.Command{
		Use:               verb + " PARTITION",
		Short:             short,
		Example:           fmt.Sprintf("  ringctl partition %s 3 --dry-run\n  ringctl partition %s 3 --yes", verb, verb),
		ValidArgsFunction: a.completePartitions,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 32)
			if err != nil || id < 0 {
				return usage("%q is not the number of a partition", args[0])
			}
			return a.editPartition(c, client.PartitionRequest{Ring: *ringName, Partition: int32(id), Action: action, AndLock: lock})
		},
	}
	if action == client.RemovePartition {
		c.Example = "  ringctl partition remove 3 --dry-run\n  ringctl partition remove 3 --confirm=3"
	}
	if canLock {
		c.Flags().BoolVar(&lock, "lock", false, "also lock it, in the same message")
	}
	a.addChange(c)
	return c
}

func (a *app) ownerCommand(ringName *string) *cobra.Command {
	owner := &cobra.Command{
		Use: "owner", Short: "Change owners of partitions", Args: a.unknown,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	remove := &cobra.Command{
		Use:   "remove OWNER",
		Short: "Remove an owner whose instance is gone",
		Long: `Remove an owner from its partition. Its instance must be gone: a running instance registers as owner only when it starts, so
after its owner entry is removed its data could not be read until it restarts.`,
		Example:           "  ringctl partition owner remove live-store-zone-a-3 --dry-run\n  ringctl partition owner remove live-store-zone-a-3 --yes",
		ValidArgsFunction: a.completeOwners,
		RunE: func(c *cobra.Command, args []string) error {
			return a.editPartition(c, client.PartitionRequest{Ring: *ringName, Owner: args[0], Action: client.RemoveOwner})
		},
	}
	a.addChange(remove)
	owner.AddCommand(remove)
	return owner
}

func (a *app) editPartition(c *cobra.Command, req client.PartitionRequest) error {
	cl, err := a.client(c.Context())
	if err != nil {
		return err
	}
	p, err := cl.PlanPartition(c.Context(), req)
	if err != nil {
		return err
	}
	_, err = a.change(c, cl, p)
	return err
}
