package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ringctl/ringctl/client"
)

// places are the words of a usage line after the command: those in brackets may be left out, and the last one may be repeated
// when it ends in dots.
func places(use string) (names []string, need int, many bool) {
	words := strings.Fields(use)[1:]
	for _, w := range words {
		name := strings.Trim(w, "[]")
		if strings.HasSuffix(name, "...") {
			name, many = strings.TrimSuffix(name, "..."), true
		}
		if !strings.HasPrefix(w, "[") {
			need++
		}
		names = append(names, name)
	}
	return names, need, many
}

// arity checks the number of arguments against the usage line.
func arity(c *cobra.Command, args []string) error {
	names, need, many := places(c.Use)
	e := &client.Error{Code: client.CodeUsage, Hint: "usage: " + strings.TrimSuffix(c.UseLine(), " [flags]") + "; see " + c.CommandPath() + " --help"}
	switch {
	case len(args) < need:
		e.Err = fmt.Errorf("%s is missing", strings.Join(names[len(args):need], " and "))
	case !many && len(args) > len(names):
		e.Err = fmt.Errorf("%s takes no more than %s: what is %q?", c.CommandPath(), client.Plural(len(names), "argument"), args[len(names)])
		if len(names) == 0 {
			e.Err = fmt.Errorf("%s takes no argument: what is %q?", c.CommandPath(), args[0])
		}
	default:
		return nil
	}
	return e
}

// finish gives all commands below c what follows from their usage lines and flags.
func (a *app) finish(c *cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.Args == nil {
			sub.Args = arity
		}
		sub.LocalFlags().VisitAll(func(f *pflag.Flag) { a.completeFlag(sub, f) })
		a.finish(sub)
	}
}

// completeFlag completes the value of a flag, unless the command does that itself.
func (a *app) completeFlag(c *cobra.Command, f *pflag.Flag) {
	if _, known := c.GetFlagCompletionFunc(f.Name); known {
		return
	}
	var complete cobra.CompletionFunc
	switch f.Name {
	case "state":
		complete = listOf(fixed(memberStates()...))
	case "zone", "lose-zone":
		complete = listOf(a.completeZones)
	case "lose", "remove":
		complete = listOf(a.completeRest)
	case "sort":
		complete = fixed("id", "age", "zone", "state", "ownership", "tokens")
	case "fail-on":
		complete = fixed("warning", "critical", "never")
	case "format":
		complete = fixed("table", "json", "nagios", "prometheus")
	case "allow":
		complete = fixed("ok", "warning")
	case "by":
		complete = fixed("auto", "zone", "member")
	case "for":
		complete = a.completeConditions
	default:
		return
	}
	if t := f.Value.Type(); t == "bool" || t == "duration" {
		return // another flag of that name
	}
	_ = c.RegisterFlagCompletionFunc(f.Name, complete)
}

func fixed(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

// listOf completes the last of several values with commas between them.
func listOf(one cobra.CompletionFunc) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, partial string) ([]cobra.Completion, cobra.ShellCompDirective) {
		done := partial[:strings.LastIndexByte(partial, ',')+1]
		values, directive := one(c, args, partial[len(done):])
		out := make([]cobra.Completion, 0, len(values))
		for _, v := range values {
			if !strings.Contains(","+done, ","+v+",") {
				out = append(out, done+v)
			}
		}
		return out, directive
	}
}

// completeZones are the zones of all rings, or of the one that is named already.
func (a *app) completeZones(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.live(c, func(s *client.Snapshot) []string {
		var out []string
		seen := map[string]bool{"": true}
		for i := range s.Rings {
			if len(args) > 0 && s.Rings[i].Name != args[0] && s.Rings[i].Key != args[0] {
				continue
			}
			for _, z := range s.Rings[i].Zones {
				if !seen[z.Name] {
					seen[z.Name] = true
					out = append(out, z.Name)
				}
			}
		}
		return out
	})
}

// completeRest are the members of the ring that is named already, or of all.
func (a *app) completeRest(c *cobra.Command, args []string, partial string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeMembers(c, nil, partial)
	}
	return a.completeRingMembers(c, args[:1], partial)
}

// completeConditions completes what ringctl wait waits for, and the member that some of it is about.
func (a *app) completeConditions(c *cobra.Command, _ []string, partial string) ([]string, cobra.ShellCompDirective) {
	for _, about := range []string{"joined=", "gone="} {
		if strings.HasPrefix(partial, about) {
			names, directive := a.completeMembers(c, nil, "")
			for i := range names {
				names[i] = about + names[i]
			}
			return names, directive
		}
	}
	return []string{"healthy", "converged", "joined=", "gone=", "members=", "partition/"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
