package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ringctl/ringctl/engine/folderlock"
)

// folderPrefix begins the names of the folders of demos.
const folderPrefix = "ringctl-demo-"

// makeFolder makes a folder for a demo and its nodes, which is taken as long as
// one of them lives.
func makeFolder() (string, *folderlock.Lock, error) {
	dir, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the demo: %w", err)
	}
	lock, err := folderlock.Take(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// removeDead removes the folders in tmp that demos left which were killed, and
// returns how many. A folder is certainly one when it has the name, is this user's
// alone, and holds what a demo writes; it is dead when nobody has its lock. A
// demo that is just starting has not written its configuration yet.
func removeDead(tmp string) (int, error) {
	found, err := os.ReadDir(tmp)
	if err != nil {
		return 0, fmt.Errorf("look for folders of earlier demos: %w", err)
	}
	removed := 0
	var errs []error
	for _, f := range found {
		dir := filepath.Join(tmp, f.Name())
		if !strings.HasPrefix(f.Name(), folderPrefix) || !isDemo(dir) {
			continue
		}
		dead, err := isDead(dir)
		if dead && err == nil {
			err = os.RemoveAll(dir)
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("remove the folder of an earlier demo: %w", err))
		case dead:
			removed++
		}
	}
	return removed, errors.Join(errs...)
}

// isDead tells whether nobody has a demo's folder. Where that cannot be told, the
// demo may live.
func isDead(dir string) (bool, error) {
	lock, err := folderlock.Take(dir)
	if err != nil {
		return false, nil //nolint:nilerr // alive
	}
	return lock.Kept(), lock.Close()
}

// isDemo tells whether a folder is one that makeFolder made for this user.
func isDemo(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || !onlyMine(info) {
		return false
	}
	for _, name := range []string{folderlock.Name, configName} {
		if f, err := os.Lstat(filepath.Join(dir, name)); err != nil || !f.Mode().IsRegular() {
			return false
		}
	}
	return true
}
