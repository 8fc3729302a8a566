//go:build unix

package middleware

import (
	"math"
	"syscall"
)

// keptFiles are for the database pool, calls to Stripe and the log.
const keptFiles = 256

// spareFiles is how many files may be open for clients. Go raises the soft limit at
// start.
func spareFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	n := int(limit.Cur)
	return max(n-keptFiles, n/2)
}
