package runbook

import (
	"fmt"
	"regexp"
	"strings"
)

// Block is one block of commands.
type Block struct {
	// Section is the anchor of the heading above it, such as "stuck-refund"; Line is
	// where its fence begins.
	Section string
	Line    int
	// Compose says that it is run with the containers of docker-compose.yml, Host that it
	// is run beside a host without them.
	Compose, Host bool
	// Commands are for a shell. Prints is what they print; Checked tells whether the page
	// says so.
	Commands, Prints string
	Checked          bool
}

// Parse reads the blocks of a page, in their order. An unknown fence is an error: nothing
// is to be on the page that looks like a command and is not run.
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
			return nil, fmt.Errorf("line %d: a fence of %q, which nothing runs and nothing prints", i+1, kind)
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

// anchor is the name by which a heading is linked to.
func anchor(title string) string {
	return strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

// Anchors are those of all headings of a page.
func Anchors(page string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.SplitSeq(page, "\n") {
		if title, ok := heading(line); ok {
			all[anchor(title)] = true
		}
	}
	return all
}
