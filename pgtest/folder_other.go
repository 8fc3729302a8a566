//go:build !linux

package pgtest

import "errors"

// freeMemory fails: no file system in memory is known.
func freeMemory(string) (uint64, error) { return 0, errors.ErrUnsupported }
