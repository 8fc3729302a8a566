package valid

import (
	"maps"
	"slices"
)

// Codes are the currencies of the table, in order.
func Codes() []string { return slices.Sorted(maps.Keys(currencies)) }
