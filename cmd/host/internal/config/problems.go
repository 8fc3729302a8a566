package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one variable that is missing or malformed.
type Problem struct {
	// Name is the variable.
	Name string
	// Wrong says what is wrong with it, without quoting a secret.
	Wrong string
	// Remedy says what to do.
	Remedy string
}

// Problems is the error of [Load]: everything that is wrong, at once.
type Problems []Problem

// Error lists the problems, one to a line.
func (ps Problems) Error() string {
	var b strings.Builder
	if len(ps) == 1 {
		b.WriteString("configuration: 1 problem")
	} else {
		fmt.Fprintf(&b, "configuration: %d problems", len(ps))
	}
	for _, p := range ps {
		fmt.Fprintf(&b, "\n  %s %s: %s", p.Name, p.Wrong, p.Remedy)
	}
	return b.String()
}

// add notes a problem.
func (ps *Problems) add(name, wrong, remedy string) {
	*ps = append(*ps, Problem{Name: name, Wrong: wrong, Remedy: remedy})
}

// malformed is what a variable's own parser says; Load adds the name.
type malformed struct{ wrong, remedy string }

// Error is for the parser's interface only; Load takes the two parts.
func (m malformed) Error() string { return m.wrong + ": " + m.remedy }

// only returns the problems of some variables.
func (ps Problems) only(names ...string) Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return !slices.Contains(names, p.Name) })
}
