//go:build unix

package middleware

import (
	"math"
	"syscall"
)

// keptFiles are for what is no client's: the pool, calls to Stripe, the log, and
// connections that are about to be refused.
const keptFiles = 256

// spareFiles is how many files the process may have open for clients. Go raises the limit
// to the most that is allowed when a program starts.
func spareFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	n := int(limit.Cur)
	return max(n-keptFiles, n/2)
}
