package ringapi

import (
	"errors"
	"net/http"
	"strings"
)

// Code is the machine-readable reason of a refusal. It is the contract; the message is for people.
type Code string

const (
	// CodeInvalid is a request that makes no sense whatever the state of the ring.
	CodeInvalid Code = "invalid_argument"
	// CodeUnauthenticated is a change without a credential.
	CodeUnauthenticated Code = "unauthenticated"
	// CodeDenied is a change that this caller may not make, or a server on which changes are off.
	CodeDenied Code = "permission_denied"
	// CodeNotFound is a ring, instance, partition or owner that this server does not know.
	CodeNotFound Code = "not_found"
	// CodeMethod is a method that the path does not have.
	CodeMethod Code = "method_not_allowed"
	// CodeNotAllowed is a change that the state forbids: an illegal transition, an owner still alive.
	CodeNotAllowed Code = "not_allowed"
	// CodeLocked is a state change of a locked partition.
	CodeLocked Code = "locked"
	// CodeChanged is a change whose precondition no longer holds: the view moved in between.
	CodeChanged Code = "changed"
	// CodeUnavailable is a server that cannot answer now: not started, shutting down, store out of reach.
	CodeUnavailable Code = "unavailable"
	// CodeTimeout is an operation that did not finish in time; it may or may not have taken effect.
	CodeTimeout Code = "timeout"
	// CodeInternal is a fault of the server.
	CodeInternal Code = "internal"
)

// Status is how one code looks on each surface.
type Status struct {
	Code Code
	// HTTP is the status code.
	HTTP int
	// GRPC is the number of the gRPC status (google.golang.org/grpc/codes).
	GRPC uint32
	// Exit is the exit code of the command line.
	Exit int
}

// Statuses is the whole table, in the order of the constants. The caller owns the copy.
func Statuses() []Status {
	return []Status{
		{CodeInvalid, http.StatusBadRequest, 3, 2},
		{CodeUnauthenticated, http.StatusUnauthorized, 16, 5},
		{CodeDenied, http.StatusForbidden, 7, 5},
		{CodeNotFound, http.StatusNotFound, 5, 4},
		{CodeMethod, http.StatusMethodNotAllowed, 12, 2},
		{CodeNotAllowed, http.StatusConflict, 9, 5},
		{CodeLocked, http.StatusLocked, 9, 5},
		{CodeChanged, http.StatusPreconditionFailed, 10, 5},
		{CodeUnavailable, http.StatusServiceUnavailable, 14, 3},
		{CodeTimeout, http.StatusGatewayTimeout, 4, 7},
		{CodeInternal, http.StatusInternalServerError, 13, 3},
	}
}

// StatusOf looks a code up; an unknown code is [CodeInternal].
func StatusOf(c Code) Status {
	table := Statuses()
	for _, s := range table {
		if s.Code == c {
			return s
		}
	}
	return table[len(table)-1]
}

// Error is a refusal. As JSON it is the body of every answer with a status of 400 and above.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Ring is the key of the ring concerned, Subject the instance, partition or owner.
	Ring    string `json:"ring,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Hint is the next step for a person, often a ringctl command line.
	Hint string `json:"hint,omitempty"`
}

// Error is the message with ring and subject in front and the hint behind.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Ring != "" {
		b.WriteString("ring " + e.Ring + ": ")
	}
	if e.Subject != "" {
		b.WriteString(e.Subject + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Is makes errors.Is compare codes, so that &Error{Code: CodeLocked} works as a target.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// AsError finds the [Error] in a chain; anything else becomes [CodeInternal] with the text of err.
// It returns nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}
