package client

import (
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
)

// Action is a change that can be planned.
type Action string

// The actions. Forget works on instance rings, the others on partition rings. Drain is a whole scale-down, see
// [Client.PlanDrain].
const (
	Forget          Action = "forget"
	Activate        Action = "activate"
	Deactivate      Action = "deactivate"
	Lock            Action = "lock"
	Unlock          Action = "unlock"
	RemovePartition Action = "remove-partition"
	RemoveOwner     Action = "remove-owner"
	Drain           Action = "drain"
)

// Danger says how much confirmation a change needs from a person.
type Danger string

const (
	// Harmless changes are already as asked for: nothing will be sent.
	Harmless Danger = "none"
	// Moderate changes take a yes.
	Moderate Danger = "yes"
	// Severe changes take the name of what is changed, see [Plan.Confirm].
	Severe Danger = "confirm"
)

// CheckLevel is the outcome of one preflight check.
type CheckLevel string

const (
	// Pass needs no attention.
	Pass CheckLevel = "ok"
	// Warn should be read before going on.
	Warn CheckLevel = "warn"
	// Refuse stops the change unless it is forced.
	Refuse CheckLevel = "refuse"
	// Block stops the change, forced or not.
	Block CheckLevel = "block"
)

// Check is one preflight check.
type Check struct {
	// Name is a stable word: "heartbeat", "clock", "quorum", "partition-owner", …
	Name  string     `json:"name"`
	Level CheckLevel `json:"level"`
	// Text says what was found, in words.
	Text string `json:"text"`
	// ID is the instance, partition or owner it is about; empty for the whole plan.
	ID string `json:"id,omitempty"`
}

// Plan is a change that was prepared and checked, and not yet made.
type Plan struct {
	Action Action `json:"action"`
	// Key is the ring's key, Ring its short name.
	Key  string `json:"key"`
	Ring string `json:"ring"`
	// Steps are the entries to write, one message each.
	Steps []Step `json:"steps"`
	// Checks were made on all Views.
	Checks []Check `json:"checks"`
	// Danger says which confirmation is needed, Confirm which text stands for it when it is Severe.
	Danger  Danger `json:"danger"`
	Confirm string `json:"confirm,omitempty"`
	// Views are the members whose views were read.
	Views []string `json:"views"`
	// Unread are living members that gave no view. They are not written to, and hear of the change by gossip.
	Unread []string `json:"unread,omitempty"`
	// ClusterNow is the cluster's time as estimated from heartbeats, whole seconds.
	ClusterNow time.Time `json:"clusterNow"`
	// Effect tells the quorum before and after, in words; it may be empty.
	Effect string `json:"effect,omitempty"`

	// targets are the members that were read; they are written to and read back from.
	targets []target
	// drain is the request of a plan for a scale-down.
	drain *DrainRequest
}

// target is a member by its gossip name and the address at which it is reached.
type target struct{ name, addr string }

// Step is one entry to write.
type Step struct {
	ID string `json:"id"`
	// Before and After describe the entry in words.
	Before string `json:"before"`
	After  string `json:"after"`
	// Fingerprint identifies the state the step was planned on: it changes with everything but heartbeats.
	Fingerprint string `json:"fingerprint"`
	// Written is the time that the written entry carries.
	Written time.Time `json:"written"`
	// Skip is true when the entry is already as wanted.
	Skip bool `json:"skip,omitempty"`
	// Undo names the opposite action; empty where there is none.
	Undo Action `json:"undo,omitempty"`

	pair gossip.Pair
	done func(*Snapshot) (string, bool)
}

// Worst is the highest level among the checks.
func (p *Plan) Worst() CheckLevel {
	worst := Pass
	for _, c := range p.Checks {
		if levelRank(c.Level) > levelRank(worst) {
			worst = c.Level
		}
	}
	return worst
}

func levelRank(l CheckLevel) int {
	switch l {
	case Warn:
		return 1
	case Refuse:
		return 2
	case Block:
		return 3
	default:
		return 0
	}
}

// Allowed returns nil when the plan may be applied, else an error with [CodeRefused] that names the check.
func (p *Plan) Allowed(force bool) error {
	for _, level := range []CheckLevel{Block, Refuse} {
		if level == Refuse && force {
			break
		}
		for _, c := range p.Checks {
			if c.Level == level {
				return model.Fail(CodeRefused, string(p.Action)+" "+c.subject(p), c.hint(), "%s: %s", c.Name, c.Text)
			}
		}
	}
	return nil
}

func (c Check) subject(p *Plan) string {
	if c.ID != "" {
		return c.ID
	}
	return p.Ring
}

func (c Check) hint() string {
	if c.Level == Refuse {
		return "if you are sure, repeat it with --force"
	}
	return ""
}

// Pending are the steps that have something to do.
func (p *Plan) Pending() int {
	n := 0
	for _, s := range p.Steps {
		if !s.Skip {
			n++
		}
	}
	return n
}

// Progress is told while a plan is applied.
type Progress struct {
	// Phase is "sending" or "verifying"; in a scale-down also "made", after a change, and "waiting", between changes.
	Phase string
	// Done and Total count members that have all changes.
	Done, Total int
	// Laggards are the members that do not.
	Laggards []Laggard

	// Drain is how far a scale-down was at the last look; nil before the first, and for all other plans.
	Drain *DrainStatus
	// Made is the change that a scale-down has just made.
	Made *Result
	// Err is what went wrong without ending the scale-down: a moment without a view, members that do not agree yet.
	Err error
}

// Laggard is a member whose view does not have a change yet.
type Laggard struct {
	// Member is the gossip name, or the address where the name is unknown.
	Member string `json:"member"`
	ID     string `json:"id"`
	// Has says what it has instead, or why it could not be asked.
	Has string `json:"has"`

	silent bool // gave no answer
}

// Result is a plan that was carried out.
type Result struct {
	Plan *Plan `json:"plan"`
	// Sent are the members that took the messages.
	Sent []string `json:"sent"`
	// Converged of Total members have all changes.
	Converged int `json:"converged"`
	Total     int `json:"total"`
	// Laggards are the others.
	Laggards []Laggard `json:"laggards,omitempty"`
	// Took is the time from the first message to the last view.
	Took Duration `json:"tookSeconds"`
}
