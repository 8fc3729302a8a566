package runbook

import (
	"fmt"
	"regexp"
	"strings"
)

// Block is a block of commands.
type Block struct {
	// Section is the anchor of its heading, and Line the line of its fence.
	Section string
	Line    int
	// Compose blocks run with the containers of docker-compose.yml, Host blocks without.
	Compose, Host bool
	// Commands are for a shell. Prints is their expected output if Checked.
	Commands, Prints string
	Checked          bool
}

// Parse returns the blocks of a page in order. Any other fence is an error: it would be
// untested.
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

// anchor is the link target of a heading.
func anchor(title string) string {
	return strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

// Anchors returns the link targets of all headings of a page.
func Anchors(page string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.SplitSeq(page, "\n") {
		if title, ok := heading(line); ok {
			all[anchor(title)] = true
		}
	}
	return all
}
