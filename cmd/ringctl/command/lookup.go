package command

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

func (a *app) lookupCommand() *cobra.Command {
	var tenant, key, ringName string
	var shard int
	c := &cobra.Command{
		Use:   "lookup [TRACE_ID]",
		Short: "Where a trace lives: token, partition, replicas, and whether they answer",
		Long: `Where a trace lives in each ring that places keys: its token, the partition and the replicas that hold it, their health,
and whether it can be written and read now. The exit code is 1 when it cannot.

With --key any 32-bit key is looked up instead. Tenants with a shard size use only a part of the ring: give --shard-size.`,
		Example: "  ringctl lookup 2f3e0cee77ae5dc9c17ade3689eb2e54\n  ringctl lookup 2f3e0cee77ae5dc9c17ade3689eb2e54 --tenant team-a --shard-size 3\n  ringctl lookup --key 0xdeadbeef -o json",
		RunE: func(c *cobra.Command, args []string) error {
			token, err := lookupToken(args, key, tenant)
			if err != nil {
				return err
			}
			if shard < 0 {
				return usage("--shard-size is a number of members, not %d", shard)
			}
			failed := ""
			err = a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				places, err := s.Lookup(client.LookupRequest{Key: token, Ring: ringName, Tenant: tenant, ShardSize: shard})
				if err != nil {
					return nil, err
				}
				for _, p := range places {
					if !p.WriteOK || !p.ReadOK {
						failed = fmt.Sprintf("%s: %s", p.Ring, firstOf(p.WriteError, p.ReadError))
					}
				}
				return document.Placements(s, places), nil
			})
			if err == nil && failed != "" {
				return &client.Error{Code: client.CodeNo, Err: fmt.Errorf("%s", failed)}
			}
			return err
		},
	}
	c.Flags().StringVar(&tenant, "tenant", client.DefaultTenant, "the trace's `tenant`")
	c.Flags().StringVar(&key, "key", "", "look this 32-bit `number` up instead of a trace id")
	c.Flags().StringVar(&ringName, "ring", "", "only in this `ring`")
	c.Flags().IntVar(&shard, "shard-size", 0, "the tenant's shuffle shard size; 0 is the whole ring")
	_ = c.RegisterFlagCompletionFunc("ring", a.completeAnyRing)
	return c
}

func lookupToken(args []string, key, tenant string) (uint32, error) {
	switch {
	case len(args) == 1 && key != "":
		return 0, usage("give a trace id or --key, not both")
	case len(args) == 1:
		return client.TraceToken(tenant, args[0])
	case key == "":
		return 0, usage("a trace id (or --key) is missing")
	}
	n, err := strconv.ParseUint(key, 0, 32)
	if err != nil {
		return 0, usage("--key %q is not a 32-bit number", key)
	}
	return uint32(n), nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
