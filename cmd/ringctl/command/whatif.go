package command

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

func (a *app) canStopCommand() *cobra.Command {
	var req client.StopRequest
	c := &cobra.Command{
		Use:   "can-stop [MEMBER...]",
		Short: "May these members stop together, now?",
		Long: `May these members stop at the same time without any key losing its write or read quorum, and any partition its last healthy
owner? It is decided on the views of all members, in every ring that has one of them. If the answer is no, it says why and
names the largest batch among them that may stop; the exit code is 1, and the answer is printed all the same.

It is a judgement of this moment: ask again right before each step.`,
		Example:           "  ringctl can-stop ingester-0\n  ringctl can-stop --ring ingester --zone zone-a\n  ringctl can-stop --ring ingester --zone zone-a --max 5 -o json",
		ValidArgsFunction: a.completeMembers,
		RunE: func(c *cobra.Command, args []string) error {
			req.IDs = args
			if len(args) == 0 && len(req.Zones) == 0 {
				return usage("name members, or --ring and --zone")
			}
			if len(req.Zones) > 0 && req.Ring == "" {
				return usage("--zone needs --ring")
			}
			if req.Max < 0 {
				return usage("--max is a number of members, not %d", req.Max)
			}
			views, failed, err := a.views(c.Context())
			if err != nil {
				return err
			}
			answer, err := client.CanStop(views, req)
			if err != nil {
				return err
			}
			for name := range failed {
				answer.OK = false
				answer.Reasons = append(answer.Reasons, client.StopReason{View: name, Text: "it gave no view: what it knows may say no"})
			}
			if err := a.print(document.StopAnswer(answer)); err != nil {
				return err
			}
			if !answer.OK {
				return &client.Error{Code: client.CodeNo, Err: errors.New(document.StopWords(answer))}
			}
			return nil
		},
	}
	c.Flags().StringVar(&req.Ring, "ring", "", "only this `ring`; without it every ring that has one of the members")
	c.Flags().StringSliceVar(&req.Zones, "zone", nil, "all members of these `zones`")
	c.Flags().IntVar(&req.Max, "max", 0, "at most this many may stop together")
	_ = c.RegisterFlagCompletionFunc("ring", a.completeAnyRing)
	return c
}

func (a *app) simulateCommand() *cobra.Command {
	var w client.WhatIf
	var loads bool
	c := &cobra.Command{
		Use:   "simulate RING",
		Short: "What if members are lost, added, or the settings change?",
		Long: `What would happen to a ring: which quorum falls, which partitions lose their last healthy owner, how much data moves, how evenly
keys are owned afterwards. Nothing is changed. The exit code is 1 when a quorum or a partition would be lost.`,
		Example:           "  ringctl simulate ingester --lose ingester-0,ingester-1\n  ringctl simulate ingester --lose-zone zone-a\n  ringctl simulate ingester --add 3\n  ringctl simulate ingester --replication-factor 2\n  ringctl simulate ingester --tokens 512 --loads",
		ValidArgsFunction: a.completeRings,
		RunE: func(c *cobra.Command, args []string) error {
			w.Ring = args[0]
			for flag, most := range map[string]int{"add": 10000, "replication-factor": 100, "tokens": 1 << 16} {
				if n, _ := c.Flags().GetInt(flag); c.Flags().Changed(flag) && (n < 1 || n > most) {
					return usage("--%s is a number from 1 to %d, not %d", flag, most, n)
				}
			}
			if len(w.Lose)+len(w.LoseZones)+len(w.Remove)+w.Add+w.ReplicationFactor+w.Tokens == 0 {
				return usage("say what should happen: --lose, --lose-zone, --remove, --add, --replication-factor or --tokens")
			}
			var sim *client.Simulation
			err := a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				var err error
				if sim, err = s.Simulate(w); err != nil {
					return nil, err
				}
				return document.Simulation(s, sim, loads), nil
			})
			if err == nil && !sim.OK {
				return &client.Error{Code: client.CodeNo, Err: errors.New(document.SimulationWords(sim))}
			}
			return err
		},
	}
	f := c.Flags()
	f.StringSliceVar(&w.Lose, "lose", nil, "these `members` stop answering")
	f.StringSliceVar(&w.LoseZones, "lose-zone", nil, "these whole `zones` stop answering")
	f.StringSliceVar(&w.Remove, "remove", nil, "these `members` are removed for good")
	f.IntVar(&w.Add, "add", 0, "this many new members join")
	f.IntVar(&w.ReplicationFactor, "replication-factor", 0, "another replication factor")
	f.IntVar(&w.Tokens, "tokens", 0, "every member has this many tokens")
	f.BoolVar(&loads, "loads", false, "show the share of each member before and after")
	return c
}
