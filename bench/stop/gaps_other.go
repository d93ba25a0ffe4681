//go:build !linux

package main

import (
	"context"
	"errors"
)

func inside(context.Context, string) error {
	return errors.New("the processor time of a thread is read on Linux only")
}
