package control

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestInABrowser presses the buttons of the pages in Chromium. It runs when
// RINGCTL_TEST_BROWSER names a folder whose node_modules has playwright-core;
// CHROMIUM is the browser if it is not /usr/bin/chromium, and
// RINGCTL_TEST_PICTURES a folder for screenshots.
func TestInABrowser(t *testing.T) {
	dir := os.Getenv("RINGCTL_TEST_BROWSER")
	if dir == "" {
		t.Skip("RINGCTL_TEST_BROWSER does not name a folder with node_modules/playwright-core")
	}
	script, err := filepath.Abs(filepath.Join("testdata", "browser", "pages.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	furnish(s)
	srv := httptest.NewServer(s.http)
	defer srv.Close()
	cmd := exec.CommandContext(t.Context(), "node", script, srv.URL, adminToken, os.Getenv("RINGCTL_TEST_PICTURES"))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
