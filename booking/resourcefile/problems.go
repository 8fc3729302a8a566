package resourcefile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a file.
type Problem struct {
	// Line counts from 1; 0 where none can be told.
	Line int
	// Path leads to the field: "studio.offers[0].price".
	Path string
	// Text is a short phrase such as "is required".
	Text string
}

// Problems is the error of [Read]: everything that is wrong, by line.
type Problems []Problem

// maxTold bounds the problems that are listed; nobody reads more.
const maxTold = 100

// Error lists the problems, one on each line, up to 100.
func (p Problems) Error() string {
	lines := []string{fmt.Sprintf("%d problems", len(p))}
	if len(p) == 1 {
		lines[0] = "1 problem"
	}
	for i, problem := range p {
		if i == maxTold {
			lines = append(lines, "  …")
			break
		}
		text := strings.TrimSpace(problem.Path + " " + problem.Text)
		if strings.HasPrefix(problem.Text, ":") {
			text = problem.Path + problem.Text
		}
		if problem.Line > 0 {
			text = fmt.Sprintf("line %d: %s", problem.Line, text)
		}
		lines = append(lines, "  "+text)
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
}
