package runbook

import (
	"fmt"
	"regexp"
	"strings"
)

// Compare returns an error if output is not the expected output of the block.
func (b Block) Compare(output string) error {
	if !b.Checked {
		return nil
	}
	want, got := lines(b.Prints), lines(output)
	if matches(want, got) {
		return nil
	}
	return fmt.Errorf("RUNBOOK.md:%d: output\n%s\nwant\n%s", b.Line, strings.Join(got, "\n"),
		strings.Join(want, "\n"))
}

var (
	blanks = regexp.MustCompile(`\s+`)
	// psql rules off the column names and counts the rows.
	ruler = regexp.MustCompile(`^[-+ ]+$|^\(\d+ rows?\)$`)
)

func lines(text string) (all []string) {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(blanks.ReplaceAllString(line, " "))
		if line != "" && !ruler.MatchString(line) {
			all = append(all, line)
		}
	}
	return all
}

func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "…" {
		for skip := range len(got) + 1 {
			if matches(want[1:], got[skip:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && matchesLine(want[0], got[0]) && matches(want[1:], got[1:])
}

func matchesLine(want, got string) bool {
	parts := strings.Split(want, "…")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(`^` + strings.Join(parts, `.*`) + `$`).MatchString(got)
}
