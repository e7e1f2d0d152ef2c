// Package folderlock lets processes take turns in a folder. The lock lies on
// the folder itself, so it leaves no file, and it ends with the process that
// holds it, however that dies.
package folderlock

import (
	"context"
	"time"
)

// retry is how often a lock that another process holds is tried again.
const retry = 50 * time.Millisecond

// Lock waits until no other process holds the lock on dir, and calls waiting
// once, unless it is nil, if it has to. Unlock is to be called once. The error
// is that of ctx, or says why dir cannot be opened.
//
// Windows and file systems without locks are used without: whoever must not be
// overtaken there has to look again before it commits.
func Lock(ctx context.Context, dir string, waiting func()) (unlock func(), err error) {
	for told := false; ; told = true {
		unlock, held, err := try(dir)
		if !held || err != nil {
			return unlock, err
		}
		if !told && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retry):
		}
	}
}

// Held reports whether a process holds the lock on dir.
func Held(dir string) bool { return held(dir) }
