package enginetest

import (
	"strconv"
	"strings"
	"testing"
)

// TestOneProcessPerFolder starts a second process on the folder of a first one.
func TestOneProcessPerFolder(t *testing.T) {
	dir := t.TempDir()
	first := single(t, dir, calm)
	first.launch()
	first.ready()
	second := single(t, dir, calm)
	second.exec()
	if code := second.wait(); code != 1 {
		t.Errorf("the second process ended with %d", code)
	}
	for _, want := range []string{dir, "in use by process " + strconv.Itoa(first.cmd.Process.Pid), "hint:", "--data.dir"} {
		if said := second.logText(); !strings.Contains(said, want) {
			t.Errorf("missing %q in\n%s", want, said)
		}
	}
	first.ready() // unharmed
	first.kill()
	second.launch() // nobody has to clean up after a crash
	second.ready()
}
