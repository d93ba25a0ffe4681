package command

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
	"github.com/ringctl/ringctl/cmd/ringctl/settings"
)

// addChange adds the flags of commands that change something.
func (a *app) addChange(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&a.flags.dryRun, "dry-run", false, "show what would happen, and change nothing")
	f.BoolVarP(&a.flags.yes, "yes", "y", false, "answer the question with yes")
	f.StringVar(&a.flags.confirm, "confirm", "", "confirm a dangerous change by its `name` (the refusal tells which)")
	f.BoolVar(&a.flags.force, "force", false, "go on although a check advises against it")
	f.DurationVar(&a.flags.wait, "wait", 30*time.Second, "how long all members may take to agree")
	f.BoolVar(&a.flags.noWait, "no-wait", false, "do not wait until all members agree")
	f.StringVar(&a.flags.reason, "reason", "", "why, for the audit log")
}

// change shows a plan, asks for confirmation, carries it out and reports.
func (a *app) change(c *cobra.Command, cl *client.Client, p *client.Plan) (*client.Result, error) {
	a.showPlan(p)
	if a.flags.dryRun {
		if err := a.print(planDocument(p)); err != nil {
			return nil, err
		}
		return nil, p.Allowed(a.flags.force)
	}
	if err := a.writable(p); err != nil {
		return nil, err
	}
	if err := p.Allowed(a.flags.force); err != nil {
		return nil, err
	}
	if err := a.confirm(c.Context(), p); err != nil {
		return nil, err
	}
	res, err := cl.Apply(c.Context(), p, a.applyOptions())
	if res != nil {
		if auditErr := a.audit(res, c.CommandPath(), err); auditErr != nil {
			a.say("warning: the change was made, but not written to the audit log: %v", auditErr)
		}
		if printErr := a.print(resultDocument(res)); printErr != nil {
			return res, printErr
		}
		if len(p.Unread) > 0 && a.format.ForPeople() {
			a.say("not asked, because they gave no view: %s; gossip brings it to them (ringctl views looks again)", strings.Join(p.Unread, ", "))
		}
	}
	return res, err
}

// writable refuses changes through a read-only context.
func (a *app) writable(p *client.Plan) error {
	if !a.chosen.ReadOnly {
		return nil
	}
	return &client.Error{Code: client.CodeRefused, Op: string(p.Action), Err: fmt.Errorf("context %s is read-only", a.context),
		Hint: "ringctl context set " + a.context + " --read-only=false, or another context"}
}

func (a *app) applyOptions() client.ApplyOptions {
	o := client.ApplyOptions{Force: a.flags.force, Wait: a.flags.wait}
	if a.flags.noWait {
		o.Wait = -1
	}
	last := -1
	o.Progress = func(p client.Progress) {
		if p.Done != last && a.format.ForPeople() {
			last = p.Done
			a.say("%d of %d members agree", p.Done, p.Total)
		}
	}
	return o
}

// showPlan prints steps and checks as words.
func (a *app) showPlan(p *client.Plan) {
	if !a.format.ForPeople() {
		return
	}
	for _, s := range p.Steps {
		if s.Skip {
			a.say("%s %s in %s: nothing to do (%s)", p.Action, s.ID, p.Ring, s.Before)
			continue
		}
		a.say("%s %s in %s (%s)", p.Action, s.ID, p.Ring, p.Key)
		a.say("  now:  %s", s.Before)
		a.say("  then: %s", s.After)
	}
	for _, ch := range p.Checks {
		tone := map[client.CheckLevel]render.Tone{client.Pass: render.Good, client.Warn: render.Warn}[ch.Level]
		if ch.Level == client.Refuse || ch.Level == client.Block {
			tone = render.Bad
		}
		where := ""
		if ch.ID != "" && len(p.Steps) > 1 {
			where = ch.ID + ": "
		}
		a.say("  [%s] %s: %s%s", render.Paint(a.errColor(), tone, string(ch.Level)), ch.Name, where, ch.Text)
	}
}

// confirm asks for what the danger of the plan demands. Without a terminal nothing is asked, and without a flag nothing
// is changed.
func (a *app) confirm(ctx context.Context, p *client.Plan) error {
	switch {
	case p.Danger == client.Harmless:
		return nil
	case p.Danger == client.Moderate && (a.flags.yes || p.Confirm != "" && a.flags.confirm == p.Confirm):
		return nil
	case p.Danger == client.Severe && a.flags.confirm == p.Confirm:
		return nil
	case p.Danger == client.Severe && a.flags.confirm != "":
		return &client.Error{Code: client.CodeConfirm, Op: string(p.Action), Err: fmt.Errorf("--confirm=%s does not match what would change", a.flags.confirm),
			Hint: "look at the plan again; it is confirmed with --confirm=" + p.Confirm}
	}
	flag := "--yes"
	question := fmt.Sprintf("%s %s? [y/N] ", p.Action, planSubject(p))
	want := "y"
	if p.Danger == client.Severe {
		flag, want = "--confirm="+p.Confirm, p.Confirm
		question = fmt.Sprintf("This is dangerous. Type %s to go on: ", p.Confirm)
	}
	if !a.env.StdinTerminal {
		return &client.Error{Code: client.CodeConfirm, Op: string(p.Action) + " " + planSubject(p), Err: fmt.Errorf("not confirmed, nothing was changed"),
			Hint: "add " + flag + " (or --dry-run to look)"}
	}
	answer, err := a.ask(ctx, question)
	if err != nil {
		return err
	}
	if answer == want || want == "y" && strings.EqualFold(answer, "yes") {
		return nil
	}
	return &client.Error{Code: client.CodeConfirm, Op: string(p.Action) + " " + planSubject(p), Err: fmt.Errorf("not confirmed, nothing was changed")}
}

func planSubject(p *client.Plan) string {
	var ids []string
	for _, s := range p.Steps {
		if !s.Skip {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) > 3 {
		return fmt.Sprintf("%d members of %s", len(ids), p.Ring)
	}
	return strings.Join(ids, ", ")
}

// ask reads one line; an interrupt ends it.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(a.env.Stderr, question)
	type line struct {
		text string
		err  error
	}
	got := make(chan line, 1)
	go func() { // ends with the process: a read from a terminal cannot be interrupted
		text, err := bufio.NewReader(a.env.Stdin).ReadString('\n')
		got <- line{strings.TrimSpace(text), err}
	}()
	select {
	case l := <-got:
		if l.err != nil && l.text == "" {
			return "", &client.Error{Code: client.CodeConfirm, Err: fmt.Errorf("no answer, nothing was changed")}
		}
		return l.text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// stepItem is one step of a plan or result: documents of kind Plan and ChangeResult.
func planDocument(p *client.Plan) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "ACTION"}, {Title: "RING"}, {Title: "ID"}, {Title: "NOW"}, {Title: "THEN"}}}
	d := &render.Document{Kind: "Plan", Data: p, Table: t}
	for _, s := range p.Steps {
		d.Names = append(d.Names, s.ID)
		t.Add(string(p.Action), p.Ring, s.ID, s.Before, s.After)
	}
	return d
}

func resultDocument(r *client.Result) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "ACTION"}, {Title: "RING"}, {Title: "ID"}, {Title: "RESULT"}, {Title: "AGREE"}}}
	d := &render.Document{Kind: "ChangeResult", Data: r, Table: t}
	for _, s := range r.Plan.Steps {
		d.Names = append(d.Names, s.ID)
		outcome := render.Cell{Text: "done", Tone: render.Good}
		switch {
		case s.Skip:
			outcome = render.Cell{Text: "unchanged"}
		case r.Converged < r.Total:
			outcome = render.Cell{Text: "sent", Tone: render.Warn}
		}
		t.Add(string(r.Plan.Action), r.Plan.Ring, s.ID, outcome, fmt.Sprintf("%d/%d", r.Converged, r.Total))
	}
	return d
}

// audit writes one line per changed entry.
func (a *app) audit(r *client.Result, command string, failure error) error {
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	outcome := fmt.Sprintf("converged on %d of %d", r.Converged, r.Total)
	if failure != nil {
		outcome = failure.Error()
	}
	var entries []settings.Entry
	for _, s := range r.Plan.Steps {
		if s.Skip {
			continue
		}
		entries = append(entries, settings.Entry{At: a.env.Now().UTC(), User: who, Host: host, Context: a.context, Command: command, Reason: a.flags.reason,
			Action: string(r.Plan.Action), Ring: r.Plan.Key, ID: s.ID, Before: s.Before, After: s.After, Forced: a.flags.force, Outcome: outcome})
	}
	if len(entries) == 0 {
		return nil
	}
	return a.dirs.Audit(entries...)
}
