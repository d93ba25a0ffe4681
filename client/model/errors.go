package model

import (
	"context"
	"errors"
	"fmt"
)

// Code is the class of an answer or failure, stable across versions. Each has one exit code.
type Code int

const (
	// CodeOK is "yes", or "done".
	CodeOK Code = iota
	// CodeNo means that the question was answered, and the answer is no.
	CodeNo
	// CodeUsage is a mistake in the request itself.
	CodeUsage
	// CodeNoView means that no member could be reached, so there is no answer.
	CodeNoView
	// CodeNotFound means that the ring, instance or partition is in no view.
	CodeNotFound
	// CodeRefused means that a safety check said no; nothing was changed.
	CodeRefused
	// CodeConfirm means that the change needs a confirmation that was not given; nothing was changed.
	CodeConfirm
	// CodeTimeout means that the time ran out before the condition held.
	CodeTimeout
	// CodeNotConverged means that the change was sent, but not every member has it.
	CodeNotConverged
	// CodeInterrupted means that the user stopped it.
	CodeInterrupted
)

// codeInfo is one line of the table of codes.
type codeInfo struct {
	name    string
	exit    int // of ringctl
	meaning string
}

// codes is the one table of codes.
func codes() []codeInfo {
	return []codeInfo{
		CodeOK:           {"ok", 0, "yes, or done"},
		CodeNo:           {"no", 1, "the answer is no"},
		CodeUsage:        {"usage", 2, "wrong usage"},
		CodeNoView:       {"no-view", 3, "no member could be reached, so there is no answer"},
		CodeNotFound:     {"not-found", 4, "no such ring, member or partition"},
		CodeRefused:      {"refused", 5, "refused by a safety check, nothing changed"},
		CodeConfirm:      {"confirmation-needed", 6, "a confirmation is needed, nothing changed"},
		CodeTimeout:      {"timeout", 7, "time ran out"},
		CodeNotConverged: {"not-converged", 8, "changed, but not every member agrees yet"},
		CodeInterrupted:  {"interrupted", 130, "interrupted"},
	}
}

// Codes lists all codes in order.
func Codes() []Code {
	out := make([]Code, len(codes()))
	for i := range out {
		out[i] = Code(i)
	}
	return out
}

// String is the code's name, a stable word.
func (c Code) String() string { return codes()[c].name }

// Exit is the exit code of ringctl.
func (c Code) Exit() int { return codes()[c].exit }

// Meaning explains the code in a few words.
func (c Code) Meaning() string { return codes()[c].meaning }

// Error is a failure of a client operation.
type Error struct {
	Code Code
	// Op is what was being done: "forget ingester-3".
	Op string
	// Hint is the next step to try; it may be empty.
	Hint string
	// Err is the cause.
	Err error
}

// Error names the operation and the cause.
func (e *Error) Error() string {
	if e.Op == "" {
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of an error: CodeOK for nil, the code of the first *Error in the chain, otherwise what
// the context errors imply, and CodeNoView for anything else, because an unexpected failure is no answer.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return CodeOK
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimeout
	case errors.Is(err, context.Canceled):
		return CodeInterrupted
	default:
		return CodeNoView
	}
}

// HintOf is the first hint in the chain, or "".
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// Fail makes an [Error] with a hint for the person who reads it.
func Fail(code Code, op, hint, format string, args ...any) error {
	return &Error{Code: code, Op: op, Hint: hint, Err: fmt.Errorf(format, args...)}
}
