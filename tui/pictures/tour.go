//go:build unix

package main

import (
	"context"
	"errors"
	"syscall"

	"github.com/ringctl/ringctl/tui/terminal"
)

// all goes through the screens once, with a member that dies and is forgotten
// on the way.
func (s *studio) all(ctx context.Context) error {
	for _, part := range []func(context.Context) error{s.trouble, s.forget, s.partitions, s.themes} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// trouble is a dead member on every screen.
func (s *studio) trouble(ctx context.Context) error {
	kill := func(ctx context.Context) error { return s.signal(ctx, "ingester-b", syscall.SIGKILL) }
	return s.take(ctx, []step{
		{await: []string{"6 rings", "ingester ━━━━━━━━━ 3/3", "all 13 views agree"}},
		{do: kill, await: []string{"▸ ▲ WARNING ingester", "13 alive, 1 dead"}, name: "overview", title: "Overview: one ingester does not answer"},
		{keys: []string{"2", "j"}, await: []string{"▸ ingester-b", "✗ unhealthy"}, name: "ring", title: "Ring: members and the ring itself"},
		{keys: []string{"Enter"}, await: []string{"UNHEALTHY ingester-b", "unhealthy 12 members"}, name: "member", title: "One member, as all members see it"},
		{keys: []string{"i"}, await: []string{"[✗] ingester-b"}},
		{keys: []string{"g", "Space"}, await: []string{"2 of 3 stopped"}, name: "whatif", title: "What if: two of three ingesters stop"},
		{keys: []string{"4"}, await: []string{"AGREED"}, name: "views", title: "Views: who sees what"},
		{keys: []string{"5"}, await: []string{"over 12 views", "ingester-b"}, name: "doctor", title: "Doctor: findings and what to do"},
		{keys: []string{"?"}, await: []string{"Everywhere"}, name: "help", title: "Help"},
		{keys: []string{"Escape", ":"}, await: []string{"1 Overview"}},
		{typed: "forget ing", keys: []string{"Tab", "Tab"}, await: []string{":forget ingester-"}, name: "command", title: "The command line completes names"},
		{keys: []string{"Escape"}},
	})
}

// forget forgets the dead member while another is slow to answer.
func (s *studio) forget(ctx context.Context) error {
	freeze := func(ctx context.Context) error { return s.signal(ctx, "querier", syscall.SIGSTOP) }
	thaw := func(ctx context.Context) error { return s.signal(ctx, "querier", syscall.SIGCONT) }
	return s.take(ctx, []step{
		{keys: []string{"2", "D"}, await: []string{"Type yes to forget ingester-b"}, name: "forget", title: "Forget: checks first, then a typed word"},
		{do: freeze, typed: "yes", keys: []string{"Enter"}, await: []string{"of 12"}, name: "progress", title: "Forget: who agrees, and who does not yet"},
		{do: thaw, await: []string{"done", "agree"}, name: "forgotten", title: "Forget: all members agree"},
		{keys: []string{"Escape"}, await: []string{"2 members, timeout"}},
	})
}

// partitions makes a partition inactive, and begins to drain it.
func (s *studio) partitions(ctx context.Context) error {
	return s.take(ctx, []step{
		{keys: []string{"3", "j", "I"}, await: []string{"Type yes to deactivate partition 1"}},
		{typed: "yes", keys: []string{"Enter"}, await: []string{"done", "agree"}},
		{keys: []string{"Escape"}, await: []string{"1 INACTIVE", "100%"}, name: "partitions", title: "Partitions: states and owners per zone"},
		{keys: []string{"D"}, await: []string{"Type 1 to go on"}},
		{typed: "1", keys: []string{"Enter"}, await: []string{"✓ deactivated", "for another"}, name: "drain", title: "Drain: what is done, and what is waited for"},
		{keys: []string{"C"}, await: []string{"stopped"}},
		{keys: []string{"Escape"}, await: []string{"1 INACTIVE"}},
		{keys: []string{"6"}, await: []string{"→ INACTIVE"}, name: "events", title: "Events: what happened, and when"},
	})
}

// themes shows two screens on light paper, and without colours.
func (s *studio) themes(ctx context.Context) error {
	if err := s.take(ctx, []step{{keys: []string{"1", "t"}, await: []string{"theme light"}}}); err != nil {
		return err
	}
	s.paper = &light
	if err := s.take(ctx, []step{
		{await: []string{"Rings"}, name: "overview-light", title: "Overview on a light terminal"},
		{keys: []string{"2"}, await: []string{"Members of ingester"}, name: "ring-light", title: "Ring on a light terminal"},
		{keys: []string{"t"}, await: []string{"theme 16"}},
	}); err != nil {
		return err
	}
	s.paper = &dark
	if err := s.take(ctx, []step{{keys: []string{"t"}, await: []string{"theme mono"}, name: "ring-mono", title: "Ring without colours"}}); err != nil {
		return err
	}
	return s.ascii(ctx)
}

// ascii is a second dashboard beside the first, with neither colours nor
// anything but seven-bit characters.
func (s *studio) ascii(ctx context.Context) error {
	p, err := s.member(ctx, "distributor")
	if err != nil {
		return err
	}
	plain := *s
	plain.term, err = terminal.Open(ctx, terminal.Config{Env: []string{"RINGCTL_ASCII=1", "NO_COLOR=1"}, Args: []string{s.ringctl,
		"--seeds", p.After("--memberlist.join"), "--label", "ringctl-demo", "--heartbeat-timeout", "6s", "--rf", "3", "top", "--observe"}})
	if err != nil {
		return err
	}
	err = plain.take(ctx, []step{
		{await: []string{"6 rings"}},
		{keys: []string{"2"}, await: []string{"Members of ingester"}, name: "ring-ascii", title: "Ring with neither colours nor Unicode"},
	})
	return errors.Join(err, plain.term.Close()) //nolint:contextcheck // closed even when the context is over
}
