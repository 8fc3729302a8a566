//go:build !unix

package middleware

import "math"

// spareFiles is the number of files that the process may open for clients.
func spareFiles() int { return math.MaxInt32 }
