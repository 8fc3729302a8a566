package valid

import (
	"maps"
	"slices"
)

// Codes returns the codes of the table, sorted.
func Codes() []string { return slices.Sorted(maps.Keys(currencies)) }
