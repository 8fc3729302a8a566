package runbook_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/runbook"
)

func TestParse_BlocksAndBadFences(t *testing.T) {
	t.Parallel()
	blocks, err := runbook.Parse("# A\n\n## 3.1 Stuck refund!\n" +
		"```sh\nhost x\nhost y\n```\nprints\n```text\nz\n```\n" +
		"### B\n```sh compose\ndocker ps\n```\n```sh everywhere\nhost z\n```\n")
	require.NoError(t, err)
	require.Equal(t, []runbook.Block{
		{Section: "31-stuck-refund", Line: 4, Host: true, Commands: "host x\nhost y\n", Prints: "z\n", Checked: true},
		{Section: "b", Line: 13, Compose: true, Commands: "docker ps\n"},
		{Section: "b", Line: 16, Compose: true, Host: true, Commands: "host z\n"},
	}, blocks)
	for _, bad := range []string{"```bash\nx\n```\n", "```sh\nx\n", "```text\nx\n```\n", "```sh\nx\n```sh\n",
		"```sh\nx\n```\n## B\n```text\nx\n```\n"} {
		_, err := runbook.Parse(bad)
		require.Error(t, err, bad)
	}
}

func TestCompare_Wildcards(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		prints, output string
		same           bool
	}{
		{"a  b\n", "a b\n", true}, {"a\n", "b\n", false}, {"a\n", "", false}, {"", "a\n", false}, {"", "\n", true},
		{"a … c\n", "a b c\n", true}, {"a … c\n", "a b\n", false}, {"…\nb\n…\n", "x\ny\nb\n", true},
		{"…\nb\n", "x\n", false},
		{" id | n \n----+---\n … | 2\n(1 row)\n", "id | n\n7 | 2\n", true}, {"(1)\n", "1\n", false},
		{"a.c\n", "abc\n", false},
	} {
		err := runbook.Block{Prints: c.prints, Checked: true}.Compare(c.output)
		require.Equal(t, c.same, err == nil, "%q %q", c.prints, c.output)
	}
	require.NoError(t, runbook.Block{}.Compare("anything"))
}

func TestShell_OutputAndFailures(t *testing.T) {
	t.Parallel()
	shell := runbook.Shell{Prelude: `say() { echo "$@ in $PLACE"; }`, Dir: t.TempDir(),
		Env: append(os.Environ(), "PLACE=here")}
	require.NoError(t, shell.Run(t.Context(),
		runbook.Block{Commands: "say hello", Prints: "hello in here", Checked: true}))
	require.ErrorContains(t, shell.Run(t.Context(),
		runbook.Block{Line: 7, Commands: "say hello", Prints: "bye", Checked: true}), "RUNBOOK.md:7")
	require.ErrorContains(t, shell.Run(t.Context(), runbook.Block{Line: 7, Commands: "echo no >&2; false; say hello"}),
		"no")
	require.Error(t, shell.Run(t.Context(), runbook.Block{Commands: "say $UNSET"}))
}

// The log lines that RUNBOOK.md quotes or searches for are in the source.
func TestPage_QuotedLogLinesExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../RUNBOOK.md")
	require.NoError(t, err)
	var source strings.Builder
	require.NoError(t, fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(filepath.Join("../..", path))
		source.Write(text)
		return err
	}))
	quoted := regexp.MustCompile("logs \\| grep '(?:\"(?:msg|reason)\":\")?([^'\":]+)\"?'|log lines? `([^`\"]+)`").
		FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(quoted), 4)
	for _, q := range quoted {
		require.Contains(t, source.String(), q[1]+q[2])
	}
}

// From each incident of docs/incidents.md the section leads to the command within two
// minutes: half of them for the section, at 250 words a minute, and half for the table of
// symptoms, an alert and doctor. The tests that drill it exist.
func TestIncidents_WithinTwoMinutes(t *testing.T) {
	t.Parallel()
	const words = 250
	page, err := os.ReadFile("../../RUNBOOK.md")
	require.NoError(t, err)
	table, err := os.ReadFile("../../docs/incidents.md")
	require.NoError(t, err)
	sections := map[string]string{}
	for _, s := range strings.Split(string(page), "\n## ")[1:] {
		title, text, _ := strings.Cut(s, "\n")
		sections[strings.ReplaceAll(strings.ToLower(title), " ", "-")] = text
	}
	tests := testNames(t)
	word := regexp.MustCompile(`\S*\w\S*`)
	row := regexp.MustCompile("(?m)^\\| ([^|]+) \\| [^|]+ \\| \\[[^]]+\\]\\(../RUNBOOK.md#([a-z0-9-]+)\\) " +
		"\\| `([^|]+)` \\| [^|]+ \\| (\\d+) s \\| ([^|]+) \\|$")
	found := row.FindAllStringSubmatch(string(table), -1)
	require.Greater(t, len(found), 30)
	require.Len(t, found, strings.Count(string(table), "(../RUNBOOK.md#"), "a row is not understood")
	for _, r := range found {
		incident, section, command := r[1], sections[r[2]], r[3]
		before, _, ok := strings.Cut(plain(section), command)
		require.True(t, ok, "%s: #%s does not have %s", incident, r[2], command)
		require.LessOrEqual(t, len(word.FindAllString(before, -1)), words, "%s: it is too far to %s in #%s", incident,
			command, r[2])
		seconds, err := strconv.Atoi(r[4])
		require.NoError(t, err)
		require.LessOrEqual(t, seconds, 120, incident)
		for _, name := range regexp.MustCompile("`(Test[^`/]+)(?:/([^`]+))?`").FindAllStringSubmatch(r[5], -1) {
			require.Contains(t, tests, "func "+name[1]+"(", incident)
			if name[1] == "TestDrills_LeadToCommand" {
				require.Regexp(t, `(?m)^\t"`+name[2]+`":`, tests, incident)
			} else if name[2] != "" {
				require.Contains(t, sections, name[2], incident)
			}
		}
	}
}

// plain is a section without expected outputs and targets of links, which are not read.
func plain(section string) string {
	section = regexp.MustCompile("(?s)```text\n.*?```").ReplaceAllString(section, "")
	return regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(section, "$1")
}

// testNames is the text of the tests that drill incidents.
func testNames(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"../e2e", "../../cmd/host"} {
		files, err := filepath.Glob(dir + "/*_test.go")
		require.NoError(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			all.Write(text)
		}
	}
	return all.String()
}
