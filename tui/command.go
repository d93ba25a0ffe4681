package tui

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/screen"
	"github.com/ringctl/ringctl/tui/widget"
)

// prompt is the line at the bottom in which commands and filters are typed.
type prompt struct {
	mode   promptMode
	input  widget.Input
	before scene.Filter
}

type promptMode int

const (
	promptOff promptMode = iota
	promptCommand
	promptFilter
)

func (p *prompt) open(mode promptMode, text string) {
	p.mode = mode
	p.before = scene.ParseFilter(text)
	p.input.Reset(text)
}

func (m *Model) promptKey(key, text string) tea.Cmd {
	p := &m.prompt
	switch key {
	case "esc":
		if p.mode == promptFilter {
			m.pane().SetFilter(p.before)
		}
		p.mode = promptOff
		return nil
	case "enter":
		mode := p.mode
		p.mode = promptOff
		if mode == promptCommand {
			p.input.Remember()
			return m.command(p.input.Value())
		}
		return nil
	}
	p.input.HandleKey(key, text)
	m.liveFilter()
	return nil
}

// liveFilter applies a filter while it is being typed.
func (m *Model) liveFilter() {
	if m.prompt.mode == promptFilter {
		m.pane().SetFilter(scene.ParseFilter(m.prompt.input.Value()))
	}
}

// arguments says what a command completes to.
type arguments int

const (
	noArguments arguments = iota
	ringNames
	partitionRings
	memberIDs
	partitionIDs
	ownerIDs
	themeNames
)

// command is one line of the table of commands.
type command struct {
	names []string
	args  arguments
	does  string
	run   func(m *Model, args []string) tea.Cmd
}

// commands is the table behind the command line. Changes only propose: they
// lead to the same dialog as the keys.
func commands() []command {
	list := []command{
		{[]string{"ring", "members"}, ringNames, "members of a ring", (*Model).ringCommand},
		{[]string{"partitions"}, partitionRings, "a partition ring", (*Model).partitionsCommand},
		{[]string{"member"}, memberIDs, "one member", (*Model).memberCommand},
		{[]string{"partition"}, partitionIDs, "one partition", (*Model).partitionCommand},
		{[]string{"whatif", "simulate"}, memberIDs, "what if these stop", (*Model).whatifCommand},
		{[]string{"forget"}, memberIDs, "propose to forget members", changeCommand(client.Forget)},
		{[]string{"activate"}, partitionIDs, "propose to activate", changeCommand(client.Activate)},
		{[]string{"deactivate"}, partitionIDs, "propose to deactivate", changeCommand(client.Deactivate)},
		{[]string{"lock"}, partitionIDs, "propose to lock", changeCommand(client.Lock)},
		{[]string{"unlock"}, partitionIDs, "propose to unlock", changeCommand(client.Unlock)},
		{[]string{"drain"}, partitionIDs, "propose to scale down, step by step", (*Model).drainCommand},
		{[]string{"remove"}, partitionIDs, "propose to remove", changeCommand(client.RemovePartition)},
		{[]string{"remove-owner"}, ownerIDs, "propose to remove an owner", changeCommand(client.RemoveOwner)},
		{[]string{"theme"}, themeNames, "change the colours", (*Model).themeCommand},
		{[]string{"wide"}, noArguments, "more columns", func(m *Model, _ []string) tea.Cmd { m.wide = !m.wide; return nil }},
		{[]string{"pause"}, noArguments, "freeze the screen", func(m *Model, _ []string) tea.Cmd { return m.pause() }},
		{[]string{"now"}, noArguments, "back to now", func(m *Model, _ []string) tea.Cmd { m.toNow(); return nil }},
		{[]string{"ask"}, noArguments, "ask every member again", func(m *Model, _ []string) tea.Cmd { return m.poll() }},
		{[]string{"help"}, noArguments, "keys and commands", func(m *Model, _ []string) tea.Cmd { m.help = true; return nil }},
		{[]string{"quit", "q", "q!"}, noArguments, "leave", func(*Model, []string) tea.Cmd { return tea.Quit }},
	}
	aliases := map[string][]string{"overview": {"status", "rings"}, "views": {"diff"}}
	for _, t := range tabs {
		if t.name == "ring" || t.name == "partitions" || t.name == "whatif" {
			continue
		}
		name := t.name
		list = append(list, command{append([]string{name}, aliases[name]...), noArguments, "the screen " + t.title,
			func(m *Model, _ []string) tea.Cmd { m.enter(name); return nil }})
	}
	return list
}

// command runs a typed command.
func (m *Model) command(text string) tea.Cmd {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil
	}
	for _, c := range commands() {
		if slices.Contains(c.names, words[0]) {
			return c.run(m, words[1:])
		}
	}
	m.say(fmt.Sprintf("no command %q%s", words[0], suggestion(words[0])))
	return nil
}

// suggestion names the commands that begin alike.
func suggestion(word string) string {
	var near []string
	for _, c := range commands() {
		for _, n := range c.names {
			if n[0] == word[0] {
				near = append(near, n)
			}
		}
	}
	if len(near) == 0 {
		return "; ? lists them"
	}
	sort.Strings(near)
	return "; did you mean " + strings.Join(near, ", ") + "?"
}

// complete offers completions for the command line.
func (m *Model) complete(before string) []string {
	if m.prompt.mode != promptCommand {
		return nil
	}
	words := strings.Fields(before)
	if len(words) == 0 || len(words) == 1 && !strings.HasSuffix(before, " ") {
		var out []string
		for _, c := range commands() {
			out = append(out, c.names...)
		}
		return out
	}
	for _, c := range commands() {
		if slices.Contains(c.names, words[0]) {
			return m.candidates(c.args)
		}
	}
	return nil
}

// candidates are the things of the shown scene that an argument can name.
func (m *Model) candidates(a arguments) []string {
	if a == themeNames {
		return []string{"dark", "light", "16", "mono"}
	}
	if m.shown == nil {
		return nil
	}
	var out []string
	snap := m.shown.Snap
	switch a {
	case ringNames:
		for i := range snap.Rings {
			out = append(out, snap.Rings[i].Name)
		}
	case partitionRings:
		for i := range snap.PartitionRings {
			out = append(out, snap.PartitionRings[i].Name)
		}
	case memberIDs:
		if r, ok := snap.Ring(m.ring.Key()); ok {
			for i := range r.Instances {
				out = append(out, r.Instances[i].ID)
			}
		}
	case ownerIDs:
		if r, ok := snap.PartitionRing(m.partitions.Key()); ok {
			out = owners(r)
		}
	case partitionIDs:
		if r, ok := snap.PartitionRing(m.partitions.Key()); ok {
			for i := range r.Partitions {
				out = append(out, fmt.Sprint(r.Partitions[i].ID))
			}
		}
	case noArguments, themeNames:
	}
	return out
}

// owners are the owners of all partitions and those of none.
func owners(r *client.PartitionRing) []string {
	var out []string
	for i := range r.Partitions {
		for _, o := range r.Partitions[i].Owners {
			out = append(out, o.ID)
		}
	}
	for _, o := range r.Orphans {
		out = append(out, o.ID)
	}
	return out
}

func (m *Model) ringCommand(args []string) tea.Cmd {
	if len(args) > 0 {
		if m.shown == nil || !m.known(args[0]) {
			m.say("no ring " + args[0])
			return nil
		}
		m.open(screen.Open{Screen: "ring", Ring: args[0]})
		return nil
	}
	m.enter("ring")
	return nil
}

func (m *Model) known(ring string) bool {
	_, ok := m.shown.Snap.Ring(ring)
	return ok || m.hasPartitionRing(ring)
}

func (m *Model) partitionsCommand(args []string) tea.Cmd {
	if len(args) > 0 {
		if !m.hasPartitionRing(args[0]) {
			m.say("no partition ring " + args[0])
			return nil
		}
		m.partitions.SetRing(m.keyOf(args[0]))
	}
	m.enter("partitions")
	return nil
}

func (m *Model) memberCommand(args []string) tea.Cmd {
	if len(args) != 1 {
		m.say("usage: member ID")
		return nil
	}
	m.open(screen.Open{Screen: "member", Ring: m.ring.Key(), ID: args[0]})
	return nil
}

func (m *Model) partitionCommand(args []string) tea.Cmd {
	if len(args) != 1 {
		m.say("usage: partition NUMBER")
		return nil
	}
	m.open(screen.Open{Screen: "partition", Ring: m.partitions.Key(), ID: args[0]})
	return nil
}

func (m *Model) whatifCommand(args []string) tea.Cmd {
	if len(args) > 0 {
		m.whatif.SetRing(m.ring.Key(), args)
	}
	m.enter("whatif")
	return nil
}

func (m *Model) themeCommand(args []string) tea.Cmd {
	if len(args) != 1 || !slices.Contains(m.candidates(themeNames), args[0]) {
		m.say("themes are dark, light, 16 and mono")
		return nil
	}
	m.opts.Theme = args[0]
	m.setTheme()
	return nil
}

// changeCommand proposes a change to the named things of the ring that its
// screen shows.
func changeCommand(action client.Action) func(*Model, []string) tea.Cmd {
	return func(m *Model, args []string) tea.Cmd {
		ring := m.partitions.Key()
		if action == client.Forget {
			ring = m.ring.Key()
		}
		return m.propose(screen.NewChange(action, ring, args...))
	}
}

// drainCommand proposes to scale partitions down. After the number may come how
// long queries need the owners, and URLs of owners to ask.
func (m *Model) drainCommand(args []string) tea.Cmd {
	c := screen.NewChange(client.Drain, m.partitions.Key())
	for _, arg := range args {
		window, err := time.ParseDuration(arg)
		_, number := strconv.Atoi(arg)
		switch {
		case number == nil:
			c.IDs = append(c.IDs, arg)
		case err == nil && window >= 0:
			c.Window = window
		case strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://"):
			c.Ask = append(c.Ask, arg)
		default:
			m.say("usage: drain NUMBER [WINDOW] [URL of an owner to ask]..., for example drain 3 1h30m")
			return nil
		}
	}
	return m.propose(c)
}
