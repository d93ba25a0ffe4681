package peer

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// survive makes an error of a panic; defer it. Who evaluates a question may keep
// spans too: a mistake in the evaluation must not cost what was acknowledged, nor
// the other questions.
func survive(err *error) {
	if p := recover(); p != nil {
		*err = status.Error(codes.Internal, fmt.Sprintf("a mistake in tempod (%v at %s); please report it with the question", p, panicked()))
	}
}

// panicked is the place of the panic that is being recovered.
func panicked() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for panicking, more := false, true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		own := strings.HasPrefix(f.Function, "runtime.")
		if panicking = panicking || own; panicking && !own {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
	}
	return "an unknown place"
}
