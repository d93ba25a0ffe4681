//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "e2e: CPU time and memory are read from /proc, so this runs on Linux only")
	os.Exit(1)
}
