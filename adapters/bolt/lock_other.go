//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package bolt

import "os"

// lockBefore says that only bbolt locks here: the file is looked at once bbolt has opened it.
const lockBefore = false

func lockFile(*os.File, bool) (bool, error) { return true, nil }

// likeFile gives a new file the mode of the one whose place it takes.
func likeFile(file *os.File, like os.FileInfo) error { return file.Chmod(like.Mode().Perm()) }
