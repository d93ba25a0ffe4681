package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	found, err := filepath.Glob(filepath.Join(tmp, folderPrefix+"*"))
	if err != nil {
		return 0, fmt.Errorf("look for folders of earlier demos: %w", err)
	}
	removed := 0
	var errs []error
	for _, dir := range found {
		if !isDemo(dir) {
			continue
		}
		lock, err := folderlock.Take(dir)
		if err != nil {
			continue // alive
		}
		if err := errors.Join(lock.Close(), os.RemoveAll(dir)); err != nil {
			errs = append(errs, fmt.Errorf("remove the folder of an earlier demo: %w", err))
			continue
		}
		removed++
	}
	return removed, errors.Join(errs...)
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
