package ringapi

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what a request may carry.
const (
	// MaxReason is the longest reason in bytes.
	MaxReason = 500
	// MaxID is the longest instance or owner id in bytes.
	MaxID = 512
	// MaxRequest is the largest request body in bytes.
	MaxRequest = 64 << 10
)

// ForgetRequest removes one instance from an instance ring.
type ForgetRequest struct {
	Instance string `json:"instance"`
	// Reason ends up in the audit log and is required.
	Reason string `json:"reason"`
	// Force forgets an instance whose heartbeat is still fresh. It will come back if it is alive.
	Force bool `json:"force,omitempty"`
	// IfHeartbeat refuses with [CodeChanged] when the entry's heartbeat (Unix seconds) is another one by
	// now. Zero: no condition.
	IfHeartbeat int64 `json:"ifHeartbeat,omitempty"`
}

// PartitionRequest changes the state of a partition, its lock, or both in one write.
type PartitionRequest struct {
	// State is the wanted state: "ACTIVE", "INACTIVE" or "PENDING"; the names with the prefix
	// "Partition" are understood as well. Empty: leave it.
	State string `json:"state,omitempty"`
	// Lock is the wanted lock. Nil: leave it.
	Lock *bool `json:"lock,omitempty"`
	// IfState refuses with [CodeChanged] when the state is another one by now. Empty: no condition.
	IfState string `json:"ifState,omitempty"`
	Reason  string `json:"reason"`
}

// PartitionRemoveRequest deletes a partition, which must be INACTIVE and without owners.
type PartitionRemoveRequest struct {
	Reason string `json:"reason"`
}

// OwnerRemoveRequest takes an owner off its partition. The owner's instance must be gone from the
// instance ring, unless forced: a running owner puts itself back.
type OwnerRemoveRequest struct {
	Owner  string `json:"owner"`
	Reason string `json:"reason"`
	Force  bool   `json:"force,omitempty"`
}

// Change is the answer to a request that changes a ring: this server's view before and after.
// Other members learn of it by gossip; read them to see that they did.
type Change struct {
	// Changed is false when everything already was as wanted.
	Changed bool `json:"changed"`
	// Hash is the view hash after the change.
	Hash string `json:"hash"`
	// Warnings are consequences worth knowing, in words.
	Warnings []string `json:"warnings,omitempty"`
	Audit    Audit    `json:"audit"`
}

// Audit is one line of the audit log (JSON Lines): who changed what, when and why.
type Audit struct {
	Time time.Time `json:"time"`
	// Actor is the credential in words: "token", or "cert:" and the certificate's common name.
	Actor string `json:"actor"`
	// Remote is the address the request came from.
	Remote string `json:"remote,omitempty"`
	// Server is the instance id of the process that made the change.
	Server string `json:"server,omitempty"`
	// Action is "forget", "partition", "partition-remove", "owner-remove",
	// "prepare-partition-downscale", "prepare-downscale" or their "cancel-" forms.
	Action  string `json:"action"`
	Ring    string `json:"ring"`
	Subject string `json:"subject"`
	Reason  string `json:"reason"`
	// Before and After describe the entry in one line each; After is empty when it is gone.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Error is set when the change was refused or failed.
	Error string `json:"error,omitempty"`
}

// Validate checks the request by itself. The error is an [Error] with [CodeInvalid].
func (r ForgetRequest) Validate() error {
	if err := validateID("instance", r.Instance); err != nil {
		return err
	}
	return ValidateReason(r.Reason)
}

// Validate checks the request by itself. The error is an [Error] with [CodeInvalid].
func (r PartitionRequest) Validate() error {
	if r.State == "" && r.Lock == nil {
		return invalid("nothing to do: give a state, a lock, or both")
	}
	for _, s := range []string{r.State, r.IfState} {
		if _, ok := ParsePartitionState(s); s != "" && !ok {
			return invalid("%q is no partition state; say ACTIVE, INACTIVE or PENDING", s)
		}
	}
	return ValidateReason(r.Reason)
}

// ParsePartitionState gives the short name ("ACTIVE") of a state written short or as in the ring
// ("PartitionActive"), in any case.
func ParsePartitionState(s string) (string, bool) {
	short := strings.TrimPrefix(strings.ToUpper(s), "PARTITION")
	switch short {
	case "PENDING", "ACTIVE", "INACTIVE":
		return short, true
	}
	return "", false
}

// Validate checks the request by itself. The error is an [Error] with [CodeInvalid].
func (r PartitionRemoveRequest) Validate() error { return ValidateReason(r.Reason) }

// Validate checks the request by itself. The error is an [Error] with [CodeInvalid].
func (r OwnerRemoveRequest) Validate() error {
	if err := validateID("owner", r.Owner); err != nil {
		return err
	}
	return ValidateReason(r.Reason)
}

// ValidateReason checks that a reason is there, short and printable.
func ValidateReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return invalid("a reason is required: it goes to the audit log")
	case len(reason) > MaxReason:
		return invalid("the reason has %d bytes; at most %d are allowed", len(reason), MaxReason)
	case !printable(reason):
		return invalid("the reason holds control characters or is not UTF-8")
	}
	return nil
}

func validateID(what, id string) error {
	switch {
	case id == "":
		return invalid("%s is empty", what)
	case len(id) > MaxID:
		return invalid("the %s has %d bytes; at most %d are allowed", what, len(id), MaxID)
	case !printable(id):
		return invalid("the %s holds control characters or is not UTF-8", what)
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func invalid(format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Message: fmt.Sprintf(format, args...)}
}
