package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
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
			if err := a.print(stopDocument(answer)); err != nil {
				return err
			}
			if !answer.OK {
				return &client.Error{Code: client.CodeNo, Err: errors.New(stopWords(answer))}
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

func stopWords(s *client.StopAnswer) string {
	if len(s.Batch) == 0 {
		return "none of them may stop now"
	}
	return "together they may not stop; these may: " + strings.Join(s.Batch, " ")
}

func stopDocument(s *client.StopAnswer) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "ANSWER"}, {Title: "RING"}, {Title: "VIEW"}, {Title: "REASON"}}}
	if s.OK {
		t.Add(render.Cell{Text: "yes", Tone: render.Good}, strings.Join(s.Rings, ","), fmt.Sprintf("all %d", len(s.Views)), fmt.Sprintf("every quorum stands without %s", strings.Join(s.Asked, ", ")))
	}
	for _, r := range s.Reasons {
		t.Add(render.Cell{Text: "no", Tone: render.Bad}, r.Ring, r.View, r.Text)
	}
	return &render.Document{Kind: "StopAnswer", Data: s, Table: t, Names: s.Batch}
}

func (a *app) simulateCommand() *cobra.Command {
	var w client.WhatIf
	var loads bool
	c := &cobra.Command{
		Use:   "simulate RING",
		Short: "What if members are lost, added, or the settings change?",
		Long: `What would happen to a ring: which quorum falls, which partitions lose their last healthy owner, how much data moves, how evenly
keys are owned afterwards. Nothing is changed. The exit code is 1 when a quorum or a partition would be lost.`,
		Example: "  ringctl simulate ingester --lose ingester-0,ingester-1\n  ringctl simulate ingester --lose-zone zone-a\n  ringctl simulate ingester --add 3\n  ringctl simulate ingester --replication-factor 2\n  ringctl simulate ingester --tokens 512 --loads",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeRings,
		RunE: func(c *cobra.Command, args []string) error {
			w.Ring = args[0]
			if len(w.Lose)+len(w.LoseZones)+len(w.Remove)+w.Add+w.ReplicationFactor+w.Tokens == 0 {
				return usage("say what should happen: --lose, --lose-zone, --remove, --add, --replication-factor or --tokens")
			}
			if w.Add < 0 || w.Add > 10000 || w.Tokens < 0 || w.Tokens > 1<<16 || w.ReplicationFactor < 0 {
				return usage("--add, --tokens and --replication-factor must be sensible positive numbers")
			}
			var sim *client.Simulation
			err := a.show(c, func(s *client.Snapshot) (*render.Document, error) {
				var err error
				if sim, err = s.Simulate(w); err != nil {
					return nil, err
				}
				return simulationDocument(s, sim, loads), nil
			})
			if err == nil && !sim.OK {
				return &client.Error{Code: client.CodeNo, Err: errors.New(simulationWords(sim))}
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

func simulationWords(s *client.Simulation) string {
	var lost []string
	if s.Before.Write != nil && s.Before.Write.OK && !s.After.Write.OK {
		lost = append(lost, "write quorum")
	}
	if s.Before.Read != nil && s.Before.Read.OK && !s.After.Read.OK {
		lost = append(lost, "read quorum")
	}
	if n := len(s.LostPartitions); n > 0 {
		lost = append(lost, fmt.Sprintf("%d partitions", n))
	}
	if len(lost) == 0 {
		return "no healthy member is left"
	}
	return "lost: " + strings.Join(lost, ", ")
}

func simulationDocument(s *client.Snapshot, sim *client.Simulation, loads bool) *render.Document {
	d := &render.Document{Kind: "Simulation", Data: sim, View: viewOf(s)}
	if loads {
		t := &render.Table{Columns: []render.Column{{Title: "ID"}, {Title: "ZONE"}, {Title: "BEFORE", Right: true}, {Title: "AFTER", Right: true}, {Title: "CHANGE", Right: true}}}
		for _, l := range sim.Loads {
			d.Names = append(d.Names, l.ID)
			t.Add(l.ID, l.Zone, fmt.Sprintf("%.1f%%", l.Before), fmt.Sprintf("%.1f%%", l.After), fmt.Sprintf("%+.1f", l.After-l.Before))
		}
		d.Table = t
		return d
	}
	t := &render.Table{Columns: []render.Column{{Title: "WHAT"}, {Title: "BEFORE"}, {Title: "AFTER"}}}
	b, f := sim.Before, sim.After
	t.Add("members (healthy)", fmt.Sprintf("%d (%d)", b.Instances, b.Healthy), fmt.Sprintf("%d (%d)", f.Instances, f.Healthy))
	if b.Write != nil || f.Write != nil {
		t.Add("replication factor", b.ReplicationFactor, f.ReplicationFactor)
		t.Add("write quorum", quorumCell(b.Write), quorumCell(f.Write))
		t.Add("read quorum", quorumCell(b.Read), quorumCell(f.Read))
		t.Add("busiest member", spreadText(b.Spread), spreadText(f.Spread))
		t.Add("replicas that move", "", fmt.Sprintf("%.1f%%", sim.Moved))
	}
	var lost []string
	for _, p := range sim.LostPartitions {
		lost = append(lost, fmt.Sprintf("%d", p.ID))
	}
	if len(lost) > 0 {
		t.Add("partitions lost", "", render.Cell{Text: strings.Join(lost, ","), Tone: render.Bad})
	}
	d.Table = t
	return d
}
