package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

// TestBusyIsTriedAgain and what is wrong is not: a complete answer without the
// trace, or with too few of its spans, is the fault the script is there to find.
func TestBusyIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer []int // one after the other
		want   int   // the code that is final; 0 is success
		asked  int
	}{
		{"at once", []int{200}, 0, 1},
		{"a pause of the machine", []int{503, 504, 429, 206, 200}, 0, 5},
		{"not found", []int{503, 404, 200}, 404, 2},
		{"a fault", []int{500, 200}, 500, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			err := untilTaken(t.Context(), func() error {
				code := tt.answer[asked]
				asked++
				if code == http.StatusOK {
					return nil
				}
				return fmt.Errorf("trace: %w", &refusal{code: code})
			})
			got := 0
			if r := (*refusal)(nil); errors.As(err, &r) {
				got = r.code
			}
			if got != tt.want || (got == 0) != (err == nil) || asked != tt.asked {
				t.Errorf("%s: %v after %d, want code %d after %d", tt.name, err, asked, tt.want, tt.asked)
			}
		})
	}
}

// TestNoAnswerIsBusy with the error that a real connection gives.
func TestNoAnswerIsBusy(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	d := &show{traffic: newTraffic("", 1), out: io.Discard}
	if err := d.get(t.Context(), s.URL, "", nil); err == nil || busy(err) {
		t.Errorf("an answer: %v", err)
	}
	s.Close()
	if err := d.get(t.Context(), s.URL, "", nil); !busy(err) {
		t.Errorf("no answer: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := untilTaken(ended, func() error { return d.get(ended, s.URL, "", nil) }); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
