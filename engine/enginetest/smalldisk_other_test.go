//go:build !linux

package enginetest

import "testing"

func smallDisk(t *testing.T, _ int) string {
	t.Skip("small disks are mounted on Linux only")
	return ""
}
