package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// stageFile is a file of staged changes.
type stageFile struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"` // "StagedChanges"
	// Undoes is the file whose changes these take back, in an undo file.
	Undoes  string        `json:"undoes,omitempty"`
	Changes []stageChange `json:"changes"`
}

// stageChange is one change, with the state of the entry that it was planned on.
type stageChange struct {
	Action client.Action `json:"action"`
	Ring   string        `json:"ring"`
	ID     string        `json:"id"`
	Lock   bool          `json:"lock,omitempty"`
	// Before describes the entry at the time of planning; Fingerprint identifies it. An empty fingerprint fits any state.
	Before      string `json:"before,omitempty"`
	After       string `json:"after,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

const stageKind = "StagedChanges"

// maxStage bounds a file of staged changes.
const maxStage = 4 << 20

func loadStage(path string) (*stageFile, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("staged changes: %w", err)
	}
	if len(raw) > maxStage {
		return nil, fmt.Errorf("staged changes: %s is larger than %d bytes", path, maxStage)
	}
	var f stageFile
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("staged changes: %s: %w", path, err)
	}
	if f.Kind != stageKind || f.APIVersion != render.APIVersion {
		return nil, fmt.Errorf("staged changes: %s is a %q of %q, want %q of %q", path, f.Kind, f.APIVersion, stageKind, render.APIVersion)
	}
	return &f, nil
}

func (f *stageFile) save(path string) error {
	f.APIVersion, f.Kind = render.APIVersion, stageKind
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("staged changes: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("staged changes: %w", err)
	}
	return nil
}

// plan asks for a plan of one staged change.
func (s *stageChange) plan(c *cobra.Command, cl *client.Client) (*client.Plan, error) {
	switch s.Action {
	case client.Forget:
		return cl.PlanForget(c.Context(), client.ForgetRequest{Ring: s.Ring, IDs: []string{s.ID}})
	case client.RemoveOwner:
		return cl.PlanPartition(c.Context(), client.PartitionRequest{Ring: s.Ring, Owner: s.ID, Action: s.Action})
	case client.Activate, client.Deactivate, client.Lock, client.Unlock, client.RemovePartition:
		id, err := strconv.ParseInt(s.ID, 10, 32)
		if err != nil {
			return nil, usage("%s: %q is not the number of a partition", s.Action, s.ID)
		}
		return cl.PlanPartition(c.Context(), client.PartitionRequest{Ring: s.Ring, Partition: int32(id), Action: s.Action, AndLock: s.Lock})
	case client.Drain: // it takes hours, and is not staged
	}
	return nil, usage("unknown action %q; they are %s", s.Action, strings.Join(stageActions(), ", "))
}

// stageActions are the actions that can be staged.
func stageActions() []string {
	return []string{"forget", "activate", "deactivate", "lock", "unlock", "remove-partition", "remove-owner"}
}

func (a *app) planCommand() *cobra.Command {
	var file string
	var lock bool
	c := &cobra.Command{
		Use:   "plan ACTION RING ID...",
		Short: "Stage changes in a file, to be reviewed and applied together",
		Long: `Check a change and append it to a file, with the state of the entry it was planned on. Nothing is changed. ringctl apply carries
the file out, and refuses it when an entry has changed since. Actions: forget, activate, deactivate, lock, unlock,
remove-partition, remove-owner.`,
		Example: "  ringctl plan forget ingester ingester-3 --file night.plan\n  ringctl plan deactivate livestore-partitions 3 --lock --file night.plan\n  ringctl apply night.plan --confirm=2",
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client(c.Context())
			if err != nil {
				return err
			}
			f, err := loadStage(file)
			if errors.Is(err, fs.ErrNotExist) {
				f, err = &stageFile{}, nil
			}
			if err != nil {
				return err
			}
			for _, id := range args[2:] {
				s := stageChange{Action: client.Action(args[0]), Ring: args[1], ID: id, Lock: lock}
				p, err := s.plan(c, cl)
				if err != nil {
					return err
				}
				a.showPlan(p)
				if err := p.Allowed(a.flags.force); err != nil {
					return err
				}
				s.Ring, s.Before, s.After, s.Fingerprint = p.Ring, p.Steps[0].Before, p.Steps[0].After, p.Steps[0].Fingerprint
				f.Changes = append(f.Changes, s)
			}
			if err := f.save(file); err != nil {
				return err
			}
			a.say("staged in %s: %s; next: ringctl apply %s --confirm=%d", file, client.Plural(len(f.Changes), "change"), file, len(f.Changes))
			return a.print(stageDocument(f))
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, partial string) ([]string, cobra.ShellCompDirective) {
			switch {
			case len(args) == 0:
				return stageActions(), cobra.ShellCompDirectiveNoFileComp
			case len(args) == 1:
				return a.completeAnyRing(c, nil, partial)
			default:
				return a.completeRingMembers(c, args[1:], partial)
			}
		},
	}
	c.Flags().StringVar(&file, "file", "ringctl.plan", "the `file` of staged changes")
	c.Flags().BoolVar(&lock, "lock", false, "with activate and deactivate: also lock the partition")
	c.Flags().BoolVar(&a.flags.force, "force", false, "stage it although a check advises against it")
	return c
}

func stageDocument(f *stageFile) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "ACTION"}, {Title: "RING"}, {Title: "ID"}, {Title: "NOW"}, {Title: "THEN"}}}
	d := &render.Document{Kind: stageKind, Data: f.Changes, Table: t}
	for _, s := range f.Changes {
		d.Names = append(d.Names, s.ID)
		t.Add(string(s.Action), s.Ring, s.ID, s.Before, s.After)
	}
	return d
}

func (a *app) applyCommand() *cobra.Command {
	return a.stagedCommand("apply", "Carry out staged changes, and write a file that undoes them",
		`Carry out the changes of a file made by ringctl plan, one after the other. Each is planned again, and refused when its entry is
not as it was when it was staged. Beside the file a second one is written, FILE.undo, with the changes that take back what
can be taken back; removals cannot.`,
		"  ringctl apply night.plan --dry-run\n  ringctl apply night.plan --confirm=2 --reason 'CHG-7'")
}

func (a *app) undoCommand() *cobra.Command {
	return a.stagedCommand("undo", "Take back what ringctl apply did",
		"Carry out an undo file, the last change first. A removed member or partition does not come back; it registers itself when it runs.",
		"  ringctl undo night.plan.undo --confirm=1")
}

func (a *app) stagedCommand(verb, short, long, example string) *cobra.Command {
	c := &cobra.Command{
		Use: verb + " FILE", Short: short, Long: long, Example: example,
		RunE: func(c *cobra.Command, args []string) error { return a.applyStage(c, args[0], verb == "apply") },
	}
	a.addChange(c)
	return c
}

func (a *app) applyStage(c *cobra.Command, path string, writeUndo bool) error {
	f, err := loadStage(path)
	if err != nil {
		return err
	}
	if !writeUndo && f.Undoes == "" {
		return &client.Error{Code: client.CodeUsage, Err: fmt.Errorf("%s takes nothing back: it holds changes to make", path),
			Hint: fmt.Sprintf("ringctl undo %s.undo takes them back, ringctl apply %s makes them", path, path)}
	}
	cl, err := a.client(c.Context())
	if err != nil {
		return err
	}
	want := strconv.Itoa(len(f.Changes))
	if !a.flags.dryRun && a.flags.confirm != want {
		return &client.Error{Code: client.CodeConfirm, Op: c.Name() + " " + path, Err: fmt.Errorf("%s not confirmed, nothing was changed", client.Plural(len(f.Changes), "change")), Hint: "add --confirm=" + want + " (or --dry-run to look)"}
	}
	undo := &stageFile{Undoes: filepath.Base(path)}
	for i := range f.Changes {
		s := &f.Changes[i]
		p, err := s.plan(c, cl)
		if err != nil {
			return err
		}
		a.showPlan(p)
		if s.Fingerprint != "" && !p.Steps[0].Skip && p.Steps[0].Fingerprint != s.Fingerprint {
			return &client.Error{Code: client.CodeRefused, Op: string(s.Action) + " " + s.ID, Err: fmt.Errorf("the ring moved since it was staged: it was %q, now it is %q", s.Before, p.Steps[0].Before),
				Hint: "stage it again with ringctl plan"}
		}
		if err := p.Allowed(a.flags.force); err != nil {
			return err
		}
		if a.flags.dryRun || p.Steps[0].Skip {
			continue
		}
		if err := a.writable(p); err != nil {
			return err
		}
		res, err := cl.Apply(c.Context(), p, a.applyOptions())
		if res != nil {
			if auditErr := a.audit(res, c.CommandPath(), err); auditErr != nil {
				a.say("warning: the change was made, but not written to the audit log: %v", auditErr)
			}
			if p.Steps[0].Undo != "" {
				undo.Changes = append(undoChanges(s, p), undo.Changes...)
			}
		}
		if err = errors.Join(err, a.saveUndo(undo, path, writeUndo)); err != nil {
			return err
		}
	}
	return a.print(stageDocument(f))
}

// undoChanges takes one change back: a lock that came with it first.
func undoChanges(s *stageChange, p *client.Plan) []stageChange {
	var out []stageChange
	if s.Lock {
		out = append(out, stageChange{Action: client.Unlock, Ring: s.Ring, ID: s.ID})
	}
	return append(out, stageChange{Action: p.Steps[0].Undo, Ring: s.Ring, ID: s.ID})
}

// saveUndo writes the undo file after each change, so that it is right even when a later one fails.
func (a *app) saveUndo(undo *stageFile, path string, write bool) error {
	if !write || len(undo.Changes) == 0 {
		return nil
	}
	return undo.save(path + ".undo")
}
