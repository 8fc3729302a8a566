package valid

import (
	"maps"
	"slices"
)

func Codes() []string { return slices.Sorted(maps.Keys(currencies)) }
