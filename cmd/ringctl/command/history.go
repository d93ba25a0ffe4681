package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/history"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
)

func (a *app) watchCommand() *cobra.Command {
	var limit time.Duration
	c := &cobra.Command{
		Use:   "watch",
		Short: "What changes, as it changes: one line per event",
		Long: `Print one line per change: members that join, leave or change state or health, partitions and their owners, gossip members,
verdicts. An entry that comes back after it was removed, without having registered anew, is reported as resurrected.

It joins the cluster as a guest where members can reach this machine, and observes otherwise. With -o json: one JSON
document per line.`,
		Example: "  ringctl watch\n  ringctl watch --observe --for 10m -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			return a.follow(ctx)
		},
	}
	c.Flags().DurationVar(&limit, "for", 0, "stop after this time (default: until interrupted)")
	a.addStay(c)
	return c
}

// follow prints events until the context ends.
func (a *app) follow(ctx context.Context) error {
	a.flags.stream, a.flags.noHeaders = true, true
	cfg, err := a.locate(ctx)
	if err != nil {
		return err
	}
	cfg.Join = !a.flags.observe
	cl, err := client.New(cfg)
	if err != nil {
		return err
	}
	var line client.Timeline
	first := true
	for s, err := range cl.Watch(ctx) {
		if err != nil {
			a.say("no view: %v", err)
			continue
		}
		if first {
			first = false
			a.say("watching %s as seen by %s (%s)", document.Plural(len(s.Rings)+len(s.PartitionRings), "ring"), s.From, s.Mode)
		}
		for _, e := range line.Add(s) {
			if err := a.print(document.Event(s, e)); err != nil {
				return err
			}
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}

func (a *app) recordCommand() *cobra.Command {
	var limit time.Duration
	c := &cobra.Command{
		Use:   "record FILE",
		Short: "Keep what the rings look like, in a file that grows",
		Long: `Follow the cluster and append every change to a file, for ringctl replay and ringctl events. Only differences are written:
a heartbeat takes a few bytes, tokens are written once. The format is described in docs/formats/history.md.`,
		Example: "  ringctl record rings.history\n  ringctl record rings.history --observe --interval 30s --for 24h",
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			return a.record(ctx, args[0])
		},
	}
	c.Flags().DurationVar(&limit, "for", 0, "stop after this time (default: until interrupted)")
	a.addStay(c)
	return c
}

func (a *app) record(ctx context.Context, path string) (err error) {
	cfg, err := a.locate(ctx)
	if err != nil {
		return err
	}
	cfg.Join = !a.flags.observe
	cl, err := client.New(cfg)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, n := history.NewWriter(f), 0
	for s, viewErr := range cl.Watch(ctx) {
		if viewErr != nil {
			a.say("no view: %v", viewErr)
			continue
		}
		if n == 0 {
			a.provenance(s)
		}
		if err := w.Add(s); err != nil {
			return err
		}
		n++
	}
	a.say("recorded %s in %s", client.Plural(n, "snapshot"), path)
	if n == 0 {
		return &client.Error{Code: client.CodeNoView, Op: "record", Err: errors.New("no member gave a view")}
	}
	return nil
}

// recorded reads a history file, with the settings of the context and flags.
func (a *app) recorded(path string) (iter.Seq2[*client.Snapshot, error], io.Closer, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("replay: %w", err)
	}
	return history.Read(f, client.Options{Product: cfg.Product, HeartbeatTimeout: cfg.HeartbeatTimeout, Profiles: cfg.Profiles,
		ReplicationFactor: cfg.ReplicationFactor, ZoneAware: cfg.ZoneAware}), f, nil
}

func (a *app) replayCommand() *cobra.Command {
	var at string
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Look at a recording: in the dashboard, or the rings at one moment",
		Long: `On a terminal: open the dashboard on a recording; [ and ] step through time. With --at, or without a terminal: print what
ringctl status would have printed at that moment, or at the end.`,
		Example: "  ringctl replay rings.history\n  ringctl replay rings.history --at 2026-05-01T12:00:00Z -o wide",
		RunE: func(c *cobra.Command, args []string) error {
			var moment time.Time
			if at != "" {
				var err error
				if moment, err = time.Parse(time.RFC3339, at); err != nil {
					return usage("--at is a time like 2026-05-01T12:00:00Z: %w", err)
				}
			}
			snaps, file, err := a.recorded(args[0])
			if err != nil {
				return err
			}
			defer file.Close() //nolint:errcheck // only read
			if at == "" && a.env.Top != nil && a.env.StdoutTerminal && a.env.StdinTerminal {
				t := a.top()
				t.Recording, t.Name = snaps, filepath.Base(args[0])
				return a.env.Top(c.Context(), t)
			}
			var last *client.Snapshot
			for s, err := range snaps {
				if err != nil {
					return fmt.Errorf("replay %s: %w", args[0], err)
				}
				if !moment.IsZero() && s.At.After(moment) {
					break
				}
				last = s
			}
			if last == nil {
				return &client.Error{Code: client.CodeNotFound, Op: "replay " + args[0], Err: errors.New("there is no snapshot at or before that time")}
			}
			a.provenance(last)
			return a.print(document.Status(last))
		},
	}
	c.Flags().StringVar(&at, "at", "", "the `time` to look at, RFC 3339")
	return c
}

func (a *app) eventsCommand() *cobra.Command {
	var since, until string
	var bad bool
	c := &cobra.Command{
		Use:   "events FILE",
		Short: "What changed in a recording, line by line",
		Long: `Print what changed between the snapshots of a recording: members that came and went, states, health, partitions, verdicts.
An entry that came back after it was removed, without having registered anew, is reported as resurrected.`,
		Example: "  ringctl events rings.history --since 2h\n  ringctl events rings.history --since 2026-05-01T12:00:00Z --bad -o json",
		RunE: func(c *cobra.Command, args []string) error {
			from, err := a.moment("--since", since)
			if err != nil {
				return err
			}
			to, err := a.moment("--until", until)
			if err != nil {
				return err
			}
			snaps, file, err := a.recorded(args[0])
			if err != nil {
				return err
			}
			defer file.Close() //nolint:errcheck // only read
			var line client.Timeline
			found := []client.Event{}
			for s, err := range snaps {
				if err != nil {
					return fmt.Errorf("events %s: %w", args[0], err)
				}
				for _, e := range line.Add(s) {
					if (from.IsZero() || !e.At.Before(from)) && (to.IsZero() || !e.At.After(to)) && (e.Bad || !bad) {
						found = append(found, e)
					}
				}
			}
			return a.print(document.Events(found))
		},
	}
	c.Flags().StringVar(&since, "since", "", "only from this `time` on: RFC 3339, or an age like 2h")
	c.Flags().StringVar(&until, "until", "", "only up to this `time`: RFC 3339, or an age like 2h")
	c.Flags().BoolVar(&bad, "bad", false, "only changes for the worse")
	return c
}

// moment reads a time or an age.
func (a *app) moment(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return a.env.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usage("%s is a time like 2026-05-01T12:00:00Z or an age like 2h, not %q", flag, s)
	}
	return t, nil
}
