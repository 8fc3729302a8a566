//go:build !unix

package middleware

import "math"

// spareFiles is how many files the process may have open for clients: no limit of the
// system's is known here.
func spareFiles() int { return math.MaxInt32 }
