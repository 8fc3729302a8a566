//go:build !linux

package testdb

import "errors"

// freeMemory is an error: there is no file system in memory to expect.
func freeMemory(string) (uint64, error) { return 0, errors.ErrUnsupported }
