//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package bolt

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockBefore says that lockFile locks: the file is locked, and looked at, before bbolt sees it.
const lockBefore = true

// lockFile takes the lock that bbolt takes, on the same open file, where taking it twice is no conflict. It
// reports whether it was free.
func lockFile(file *os.File, exclusive bool) (bool, error) {
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	err := syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// likeFile gives a new file the owner and the mode of the one whose place it takes.
func likeFile(file *os.File, like os.FileInfo) error {
	old, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return file.Chmod(like.Mode().Perm())
	}
	if old.Nlink > 1 {
		return fmt.Errorf("it has %d names (hard links), and only one of them would get the new file", old.Nlink)
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if fresh, ok := info.Sys().(*syscall.Stat_t); ok && (fresh.Uid != old.Uid || fresh.Gid != old.Gid) {
		if err := file.Chown(int(old.Uid), int(old.Gid)); err != nil {
			return fmt.Errorf("keep its owner: %w", err)
		}
	}
	return file.Chmod(like.Mode().Perm())
}
