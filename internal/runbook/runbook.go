// Package runbook runs the command blocks of RUNBOOK.md.
//
// The problem is that an untested procedure fails when it is needed, so a test runs each
// block and compares its output with the page.
//
// A block is a fence of sh; a fence of text after it is its expected output. There, …
// stands for anything on its line, a line of only … for any number of lines, and runs of
// white space are equal.
//
//   - "sh" blocks run in internal/e2e, in their section's situation.
//   - "sh compose" blocks need the containers of docker-compose.yml; internal/runbook/run
//     runs them.
//   - "sh everywhere" blocks run in both.
package runbook

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// Block is a block of commands.
type Block struct {
	// Section is its heading's anchor, Line its fence's.
	Section string
	Line    int
	// Compose blocks run with the containers, Host blocks without.
	Compose, Host bool
	// Prints is the expected output if Checked.
	Commands, Prints string
	Checked          bool
}

// Parse returns the blocks of a page. Any other fence is an error: it would be untested.
func Parse(page string) ([]Block, error) {
	var blocks []Block
	section, fence := "", ""
	var open *Block
	var text []string
	for i, line := range strings.Split(page, "\n") {
		kind, isFence := strings.CutPrefix(line, "```")
		switch {
		case !isFence && fence != "":
			text = append(text, line)
		case !isFence:
			if title, ok := heading(line); ok {
				section, open = anchor(title), nil
			}
		case fence == "" && (kind == "sh" || kind == "sh compose" || kind == "sh everywhere"):
			fence = kind
			blocks = append(blocks, Block{Section: section, Line: i + 1, Compose: kind != "sh",
				Host: kind != "sh compose"})
			open = &blocks[len(blocks)-1]
		case fence == "" && kind == "text" && open != nil && !open.Checked:
			fence = kind
		case fence == "":
			return nil, fmt.Errorf("line %d: a fence of %q is not a block of commands or their output", i+1, kind)
		case kind != "":
			return nil, fmt.Errorf("line %d: a fence within a fence", i+1)
		default:
			all := strings.Join(text, "\n") + "\n"
			if fence == "text" {
				open.Prints, open.Checked = all, true
			} else {
				open.Commands = all
			}
			fence, text = "", nil
		}
	}
	if fence != "" {
		return nil, fmt.Errorf("a fence is not closed")
	}
	return blocks, nil
}

func heading(line string) (string, bool) {
	title := strings.TrimLeft(line, "#")
	if title == line || !strings.HasPrefix(title, " ") {
		return "", false
	}
	return strings.TrimSpace(title), true
}

var notInAnchors = regexp.MustCompile(`[^a-z0-9 _-]`)

func anchor(title string) string {
	return strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

// Anchors returns a page's link targets.
func Anchors(page string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.SplitSeq(page, "\n") {
		if title, ok := heading(line); ok {
			all[anchor(title)] = true
		}
	}
	return all
}

// Compare returns an error if output is not the expected one.
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

// Shell runs blocks. Prelude defines the functions that the page uses, such as host.
type Shell struct {
	Prelude, Dir string
	Env          []string
}

// Run compares a block's output. A failed command is an error.
func (s Shell) Run(ctx context.Context, b Block) error {
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", s.Prelude+"\n"+b.Commands)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	output, err := cmd.Output()
	if err != nil {
		var words string
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			words = string(failed.Stderr)
		}
		return fmt.Errorf("RUNBOOK.md:%d: %w\n%s%s", b.Line, err, output, words)
	}
	return b.Compare(string(output))
}
